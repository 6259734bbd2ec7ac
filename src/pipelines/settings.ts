import { z } from 'zod';

import { GrabCutOptions } from '../models/grabcut.js';

const GrabCut = z.strictObject({ kind: z.literal('grabcut'), ...GrabCutOptions.shape });

/** Which policy to open, and what runs it. */
export const PolicyOptions = z.strictObject({
  /** Folder of a Hugging Face checkpoint. */
  checkpoint: z.string().min(1),
  /** Which weights an update changes. */
  train: z.enum(['full']).default('full'),
  runtime: z.enum(['onnx']).default('onnx'),
  device: z.enum(['cpu']).default('cpu'),
  /** Threads of one run; the runtime's own choice unless told. */
  threads: z.int().min(1).optional(),
});
export type PolicyOptions = z.output<typeof PolicyOptions>;

/** Which segmenter to open, by `kind`. */
export const SegmenterOptions = z.discriminatedUnion('kind', [GrabCut]);
export type SegmenterOptions = z.output<typeof SegmenterOptions>;

/** A pipeline's own keys, without its stages. */
export const Settings = z.strictObject({
  /** Key of every random draw. */
  seed: z.int().default(0),
  /** Rows between source and sink; as many as a step takes is strictly on-policy. */
  window: z.int().min(1).default(8),
  policy: PolicyOptions.optional(),
  segmenter: SegmenterOptions.optional(),
  /** Name of the run's folder under `runs/`; the pipeline's name and the time unless told. */
  run: z
    .string()
    .regex(/^[\w][\w.-]*$/, 'expected letters, digits, ".", "_" and "-"')
    .optional(),
  /** Rows that may be marked for a fault of theirs before the run stops. */
  tolerate: z.int().min(0).default(0),
  /** Modules with stages of one's own, relative to the file. */
  operators: z.array(z.string().min(1)).default([]),
});
export type Settings = z.output<typeof Settings>;

/** The whole map of a pipeline as a file has it; what a stage may be told is checked stage by stage. */
export const PipelineShape = Settings.extend({ stages: z.array(z.unknown()).min(1) });
