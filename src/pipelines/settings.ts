import { z } from 'zod';

import { deviceShape, Runtime, Threads, Workers } from '../models/device.js';
import { isExpression, SAVED_PRECISIONS, trainingFault, type SavedPrecision } from '../models/policies.js';
import { isOfModule, SEGMENTERS, type SegmenterChoice } from '../models/segmenters.js';
import { prompts, type PromptName } from '../prompts/seg-r1.js';
import { valueAt } from './config/schema-paths.js';

/** A LoRA adapter that is trained instead of the weights. */
const Lora = z
  .strictObject({
    rank: z.int().min(1).default(16),
    /** The adapter counts alpha / rank. */
    alpha: z.number().positive().default(32),
    /** Alpha / √rank instead. */
    rsLora: z.boolean().default(false),
    /** Linear layers by name, in the vision tower too. */
    targets: z.array(z.string().min(1)).min(1).optional(),
    /** Instead of targets, a regular expression of a layer's whole path, as PEFT has it. */
    pattern: z.string().min(1).refine(isExpression, 'expected a regular expression').optional(),
    /** Whether layers of the vision tower may be among them. */
    vision: z.boolean().default(true),
  })
  .superRefine(({ targets, pattern }, context) => {
    if (targets && pattern !== undefined)
      context.addIssue({ code: 'custom', path: ['pattern'], message: 'expected targets or a pattern; got both' });
    if (!targets && pattern === undefined)
      context.addIssue({
        code: 'custom',
        message: 'expected targets, such as [q_proj, v_proj], or a pattern; got neither',
      });
  });

/** Prompts in one run: so many would not fit any device. */
const MOST_PROMPTS = 1024;

/** Which policy to open, key by key; `PolicyOptions` also checks them together. */
export const PolicyShape = z.strictObject({
  /** Folder of a Hugging Face checkpoint. */
  checkpoint: z.string().min(1),
  /** Folder of an adapter in PEFT's layout, on top of the checkpoint. */
  adapter: z.string().min(1).optional(),
  /**
   * Which weights an update changes: the checkpoint's, the adapter's, or those of a new adapter; default: the adapter's
   * if one is named, else all.
   */
  train: z.union([z.enum(['full', 'adapter']), z.strictObject({ lora: Lora })]).optional(),
  /**
   * Number format of saved checkpoints, rounded to the nearest; by default that of the opened files. Adapters are
   * float32.
   */
  save: z.enum(Object.keys(SAVED_PRECISIONS) as [SavedPrecision, ...SavedPrecision[]]).optional(),
  runtime: Runtime.default('onnx'),
  ...deviceShape,
  /**
   * Threads that run side by side, each with a copy of the weights (4 bytes each); frozen float32 files are
   * memory-mapped once for all.
   */
  workers: Workers.default(1),
  /** Cores of one run; workers × threads should not exceed the machine's. */
  threads: Threads.default(2),
  /** Prompts in one run, and groups in a microbatch. */
  batch: z.int().min(1).max(MOST_PROMPTS).default(4),
  /** Whether the backward pass computes each layer again instead of keeping its values. */
  gradientCheckpointing: z.boolean().default(false),
  /**
   * Where AdamW's moments and float32 weights are: on the policy's device; on the host, which then needs 12 bytes a
   * weight, and a GPU holds only what products take; or there only if a GPU has no room for them.
   */
  optimizer: z.enum(['auto', 'device', 'host']).default('auto'),
  /**
   * Most tokens in one training run, padding included: long prompts share it with fewer others; unlimited by default.
   */
  tokens: z.int().min(1).optional(),
  /**
   * What the policy is asked: a prompt of Seg-R1 by name, `byTask` for the one that fits each row's task, or your own;
   * default: the checkpoint's, or else `rl`.
   */
  prompt: z
    .union([
      z.enum(['byTask', ...(Object.keys(prompts) as PromptName[])]),
      z.strictObject({ system: z.string().optional(), user: z.string().min(1) }),
    ])
    .optional(),
});

/** Which policy to open, and what runs it. */
export const PolicyOptions = PolicyShape.superRefine(({ train, adapter }, context) => {
  const fault = trainingFault(train, adapter);
  if (fault !== undefined) context.addIssue({ code: 'custom', path: ['train'], message: fault });
}).overwrite((policy) => ({ ...policy, train: policy.train ?? (policy.adapter === undefined ? 'full' : 'adapter') }));
export type PolicyOptions = z.output<typeof PolicyOptions>;

type KindOptions = z.ZodObject<{ kind: z.ZodLiteral<string> }, z.core.$loose>;

/** Which segmenter to open, by `kind`. */
export const SegmenterOptions = z.discriminatedUnion(
  'kind',
  SEGMENTERS.map(({ name, options }) =>
    z.strictObject({ kind: z.literal(name), ...(options as z.ZodObject).shape }),
  ) as unknown as [KindOptions, ...KindOptions[]],
);

/** A custom segmenter: its module checks the options beside `module`. */
const ModuleSegmenter = z.looseObject({ module: z.string().min(1) });

/** When checkpoints of a training run are written, so that it can be resumed; there is always one at its end. */
const CheckpointOptions = z.strictObject({
  /** Steps from one to the next. */
  every: z.int().min(1).default(50),
  /** How many of the newest are kept. */
  keep: z.int().min(1).default(3),
  /**
   * Metric by which the best checkpoint is kept as well: its mean since the checkpoint before, or `eval_NAME` of an
   * evaluation; `-NAME` where less is better.
   */
  best: z.string().min(1).optional(),
});
export type CheckpointOptions = z.output<typeof CheckpointOptions>;

/** A pipeline by name, and whether it also evaluates the policy between steps. */
const EvaluateOptions = z.union([
  z.string().min(1),
  z.strictObject({
    pipeline: z.string().min(1),
    /** Optimizer steps from one evaluation to the next. */
    every: z.int().min(1),
  }),
]);

/** A pipeline's own keys, without its stages. */
export const Settings = z.strictObject({
  /** Key of every random draw. */
  seed: z.int().default(0),
  /** Rows between source and sink; as many as a step takes is strictly on-policy. */
  window: z.int().min(1).default(8),
  policy: PolicyOptions.optional(),
  segmenter: (SegmenterOptions as z.ZodType<SegmenterChoice>).optional(),
  /**
   * Name of a pipeline in the same file, with `tally`, that evaluates the policy before the first step and after the
   * last, with `every` also in between; null for none.
   */
  evaluate: EvaluateOptions.nullable().optional(),
  checkpoints: CheckpointOptions.prefault({}),
  /** Name of the run's folder under `runs/`; the pipeline's name and the time by default. */
  run: z
    .string()
    .regex(/^[\w][\w.-]*$/, 'expected letters, digits, ".", "_" and "-"')
    .optional(),
  /** Rows with faulty data that are skipped before the run stops. */
  tolerate: z.int().min(0).default(0),
  /** Cache of pixels that stages share, MB, as `imageReader` keeps it; the least recently used are dropped first; 0 keeps none. */
  imageCacheMegabytes: z.number().min(0).default(256),
  /** Modules with custom stages, relative to the file. */
  operators: z.array(z.string().min(1)).default([]),
});
export type Settings = z.output<typeof Settings>;

const SettingsWithModule = Settings.extend({
  segmenter: (ModuleSegmenter as z.ZodType<SegmenterChoice>).optional(),
});

/** The schema of a pipeline's own keys, for the form in which it names the segmenter. */
export function settingsSchema(map: unknown): typeof Settings {
  return isOfModule(valueAt(map, ['segmenter'])) ? SettingsWithModule : Settings;
}

const stages = z.array(z.unknown()).min(1);

/** The schema of a whole pipeline; the options of stages are checked stage by stage. */
export function pipelineSchema(map: unknown): z.ZodType<Settings> {
  return settingsSchema(map).extend({ stages });
}

/** The same for descriptions, with a segmenter of either form. */
export const PipelineShape = Settings.extend({
  segmenter: z.union([SegmenterOptions, ModuleSegmenter]).optional(),
  stages,
});

/** Name of an evaluation's metric among those of a step: `eval_NAME`. */
export const EVALUATION_PREFIX = 'eval_';

/** Whether `checkpoints.best` is a metric of evaluations. */
export function byEvaluation(best: string | undefined): best is string {
  return best !== undefined && best.replace(/^-/, '').startsWith(EVALUATION_PREFIX);
}

/** Which pipeline `evaluate` names, and every how many steps it evaluates the policy in between, if at all. */
export function evaluateOf({
  evaluate,
}: Pick<Settings, 'evaluate'>): { readonly pipeline: string; readonly every?: number } | undefined {
  return typeof evaluate === 'string' ? { pipeline: evaluate } : (evaluate ?? undefined);
}
