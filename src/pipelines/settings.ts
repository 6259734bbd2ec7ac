import { z } from 'zod';

import { deviceShape, Runtime } from '../models/device.js';
import { SAVED_PRECISIONS, trainingFault, type SavedPrecision } from '../models/policies.js';
import { isOfModule, SEGMENTERS, type SegmenterChoice } from '../models/segmenters.js';
import { prompts, type PromptName } from '../prompts/seg-r1.js';
import { valueAt } from './config/schema-paths.js';

/** An adapter of low rank that learns in place of the weights. */
const Lora = z
  .strictObject({
    rank: z.int().min(1).default(16),
    /** The adapter counts alpha / rank. */
    alpha: z.number().positive().default(32),
    /** Alpha / √rank instead. */
    rsLora: z.boolean().default(false),
    /** Linear layers by name; those of that name in the vision tower are among them. */
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

function isExpression(pattern: string): boolean {
  try {
    return new RegExp(pattern) instanceof RegExp;
  } catch {
    return false;
  }
}

const PolicyShape = z.strictObject({
  /** Folder of a Hugging Face checkpoint. */
  checkpoint: z.string().min(1),
  /** Folder of an adapter in PEFT's layout, on top of the checkpoint. */
  adapter: z.string().min(1).optional(),
  /**
   * Which weights an update changes: the checkpoint's, those of the adapter above, or those of a new one; the adapter's
   * where one is named, else all, by default.
   */
  train: z.union([z.enum(['full', 'adapter']), z.strictObject({ lora: Lora })]).optional(),
  /**
   * What a checkpoint that learned is written in, rounded to the nearest; as the files it came from by default.
   * Adapters are float32.
   */
  save: z.enum(Object.keys(SAVED_PRECISIONS) as [SavedPrecision, ...SavedPrecision[]]).optional(),
  runtime: Runtime.default('onnx'),
  ...deviceShape,
  /**
   * Threads that hold the weights, each a copy of 4 bytes a weight; float32 files that nothing changes are mapped
   * instead, once for all. Runs go on side by side.
   */
  workers: z.int().min(1).default(1),
  /** Cores of one run; workers × threads should not exceed the machine's. */
  threads: z.int().min(1).default(2),
  /** Prompts in one run, and groups in a micro-batch. */
  batch: z.int().min(1).default(4),
  /** Whether an update computes the inside of every layer twice instead of keeping it. */
  gradientCheckpointing: z.boolean().default(false),
  /**
   * Tokens in one run that trains, padding included: fewer prompts share it where they are long; no bound by default.
   */
  tokens: z.int().min(1).optional(),
  /**
   * What the policy is asked: a prompt of Seg-R1's by name, `byTask` the one for each row's task, or one's own; the
   * checkpoint's own, or else `rl`, by default.
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

/** A segmenter of one's own: its module checks the options beside `module`. */
const ModuleSegmenter = z.looseObject({ module: z.string().min(1) });

/** When a policy that learns is written down, so that the run can be gone on with; and always at its end. */
const CheckpointOptions = z.strictObject({
  /** Steps from one to the next. */
  every: z.int().min(1).default(50),
  /** The newest so many stay. */
  keep: z.int().min(1).default(3),
  /**
   * Metric of which the best one stays as well: its mean since the one before, or what an evaluation came to,
   * `eval_NAME`; `-NAME` where less is better.
   */
  best: z.string().min(1).optional(),
});
export type CheckpointOptions = z.output<typeof CheckpointOptions>;

/** A pipeline by name, and whether it judges the policy between steps as well. */
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
   * Name of a pipeline in the same file, with `tally`, that is run on the policy before the first step and after the
   * last, with `every` in between, too; null for none.
   */
  evaluate: EvaluateOptions.nullable().optional(),
  checkpoints: CheckpointOptions.prefault({}),
  /** Name of the run's folder under `runs/`; the pipeline's name and the time by default. */
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

const SettingsWithModule = Settings.extend({
  segmenter: (ModuleSegmenter as z.ZodType<SegmenterChoice>).optional(),
});

/** The schema of a pipeline's own keys, by how its map names the segmenter. */
export function settingsSchema(map: unknown): typeof Settings {
  return isOfModule(valueAt(map, ['segmenter'])) ? SettingsWithModule : Settings;
}

const stages = z.array(z.unknown()).min(1);

/** The schema of a pipeline's whole map as a file has it; the options of stages are checked stage by stage. */
export function pipelineSchema(map: unknown): z.ZodType<Settings> {
  return settingsSchema(map).extend({ stages });
}

/** The same for descriptions, with a segmenter of either form. */
export const PipelineShape = Settings.extend({
  segmenter: z.union([SegmenterOptions, ModuleSegmenter]).optional(),
  stages,
});

/** What an evaluation's metrics are called among those of a step: `eval_NAME`. */
export const EVALUATION_PREFIX = 'eval_';

/** Whether `checkpoints.best` is a metric of evaluations. */
export function byEvaluation(best: string | undefined): best is string {
  return best !== undefined && best.replace(/^-/, '').startsWith(EVALUATION_PREFIX);
}

/** Which pipeline `evaluate` names, and every how many steps it judges the policy in between, if at all. */
export function evaluateOf({
  evaluate,
}: Pick<Settings, 'evaluate'>): { readonly pipeline: string; readonly every?: number } | undefined {
  return typeof evaluate === 'string' ? { pipeline: evaluate } : (evaluate ?? undefined);
}
