/** What the package's users open: options are checked as a pipeline's are, by the same schemas and in the same words. */
import { z } from 'zod';

import { UsageError } from './errors.js';
import { imageReader as imageReaderOf, ReaderOptions } from './io/reader.js';
import { GrabCutOptions, openGrabCut as openCheckedGrabCut } from './models/grabcut/segmenter.js';
import { openPolicy as openCheckedPolicy, type OpenPolicyOptions as Complete } from './models/policies.js';
import { openSam2 as openCheckedSam2, Sam2Options } from './models/sam2/segmenter.js';
import type { Segmenter } from './models/segmenter.js';
import type { VlmPolicy } from './models/vlm/policy.js';
import { openScorer as openCheckedScorer, type Scorer } from './operators/scoring/scorer.js';
import { parseWith } from './pipelines/config/issues.js';
import { PolicyShape } from './pipelines/settings.js';

/** Options of `openPolicy`; `workers`, `threads` and `batch` have a pipeline's defaults: 1, 2 and 4. */
export type OpenPolicyOptions = Omit<Complete, 'workers' | 'threads' | 'batch'> &
  Partial<Pick<Complete, 'workers' | 'threads' | 'batch'>>;

const called = z.custom((value) => typeof value === 'function', 'expected a function').optional();
const libraries = z.strictObject({ runtime: z.string(), libraries: z.array(z.string()) }).optional();
const memory = z.number().positive().optional();

const { adapter, train, save, runtime, precision, workers, threads, batch, gradientCheckpointing, tokens } =
  PolicyShape.shape;

/** `policy` of a pipeline, with what only code can give. */
const PolicyOptions = z.strictObject({
  adapter,
  save,
  precision,
  workers,
  threads,
  batch,
  gradientCheckpointing,
  tokens,
  runtime: runtime.optional(),
  train: z.union([z.literal('none'), train]).optional(),
  seed: z.int().optional(),
  device: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('cpu'), libraries, memory }),
      z.strictObject({
        kind: z.literal('cuda'),
        index: z.int().min(0),
        memory,
        grow: z.boolean().optional(),
        tf32: z.boolean().optional(),
        libraries,
      }),
    ])
    .optional(),
  prompt: z
    .union([
      z.strictObject({ system: z.string().optional(), user: z.string().min(1) }),
      z.custom((value) => typeof value === 'function', 'expected a function of the task'),
    ])
    .optional(),
  suppressed: z.array(z.int().min(0)).optional(),
  notice: called,
  extra: called,
});

/**
 * Opens a Hugging Face checkpoint folder of a family that is known.
 *
 * @throws {UsageError} for options that aren't as they should be, before any file is read.
 * @throws {ModelError} before any session is made, naming file, key or tensor, expected and got.
 */
export async function openPolicy(dir: string, options: OpenPolicyOptions = {}): Promise<VlmPolicy> {
  return await openCheckedPolicy(dir, checked(PolicyOptions, options, 'openPolicy') as Complete);
}

/** As `openSam2` of the models. @throws {UsageError} also for options that aren't as they should be. */
export async function openSam2(options: Sam2Options): Promise<Segmenter> {
  return await openCheckedSam2(checked(Sam2Options, options, 'openSam2'));
}

/** As `openGrabCut` of the models. @throws {UsageError} also for options that aren't as they should be. */
export async function openGrabCut(options: GrabCutOptions = {}): Promise<Segmenter> {
  return await openCheckedGrabCut(checked(GrabCutOptions, options, 'openGrabCut'));
}

/** As `imageReader` of `io`. @throws {UsageError} also for options that aren't as they should be. */
export function imageReader(options: ReaderOptions = {}): ReturnType<typeof imageReaderOf> {
  return imageReaderOf(checked(ReaderOptions, options, 'imageReader'));
}

/** Starts the threads. @throws {UsageError} for a number that is none. */
export function openScorer(count: number): Scorer {
  return openCheckedScorer(checked(z.int().min(1), count, 'openScorer.threads'));
}

function checked<Output>(schema: z.ZodType<Output>, options: unknown, subject: string): Output {
  const read = parseWith(schema, options, subject);
  if (read.success) return read.data;
  throw new UsageError(read.issues.map(({ text }) => text).join('\n'));
}
