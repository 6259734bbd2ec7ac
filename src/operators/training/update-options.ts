import { z } from 'zod';

import { commonShape, objectiveFaults, ObjectiveName, ownShape } from '../../objectives/named.js';
import type { ObjectiveSpec } from '../../objectives/spec.js';
import { OptimizerOptions } from './schedule.js';

const { kl, ...common } = commonShape;

const Shape = z.strictObject({
  ...OptimizerOptions.shape,
  /** What is learned from: an objective by name, or one of your own, that a module exports as `objective`. */
  objective: z
    .union([
      ObjectiveName,
      z.strictObject({ module: z.string().min(1), options: z.record(z.string(), z.json()).default({}) }),
    ])
    .default('grpo'),
  ...ownShape,
  kl,
  /**
   * Mixes a share of the policy into what it is measured from, every so many steps; 1 takes its place. @see TR-DPO,
   * arXiv:2404.09656
   */
  reference: z
    .strictObject({ every: z.int().min(1).default(512), mix: z.number().gt(0).max(1).default(0.6) })
    .optional(),
  ...common,
  /**
   * Whether completions that didn't end by themselves are learned from, or left out. @see DAPO, arXiv:2503.14476,
   * section 3.4
   */
  truncated: z.enum(['learn', 'leave']).default('learn'),
  /** Groups in one optimizer step. */
  groupsPerStep: z.int().min(1).default(8),
  /**
   * Leaves out groups whose completions all earned the same, and takes up to so many times `groupsPerStep` others in
   * their place. @see DAPO, arXiv:2503.14476, section 3.2
   */
  refill: z.int().min(0).optional(),
  /** Leaves out groups that were written more than so many optimizer steps before. */
  maxStaleness: z.int().min(0).optional(),
  /** Optimizer steps on the same groups, the old probabilities kept. */
  updatesPerBatch: z.int().min(1).default(1),
});
type Options = z.output<typeof Shape>;

export const UpdateOptions = Shape.superRefine((options, context) => {
  const refuse = (path: keyof Options, message: string): void =>
    context.addIssue({ code: 'custom', path: [path], message });
  const { objective, kl: coefficient, updatesPerBatch, reference } = options;
  const name = typeof objective === 'string' ? objective : undefined;
  for (const { option, text } of objectiveFaults(name, options)) refuse(option, text);
  if (reference && coefficient === 0 && name) refuse('reference', 'expected kl above 0 beside it; got 0');
  if (name === 'seg-r1' && updatesPerBatch > 1)
    refuse(
      'updatesPerBatch',
      `expected 1 with seg-r1, which has no ratio to hold later steps by; got ${updatesPerBatch}`,
    );
  if (name) return;
  for (const key of Object.keys(commonShape) as (keyof typeof commonShape)[])
    if (!unset(key, options[key])) refuse(key, "expected it among the module's own options; got it beside the module");
});
export type UpdateOptions = z.input<typeof UpdateOptions>;

/** Whether an option is as it is where nobody sets it. */
function unset(key: keyof typeof commonShape, value: unknown): boolean {
  return value === commonShape[key].parse(undefined);
}

/** The objective that the options describe, as plain data. */
export function objectiveSpec(options: z.output<typeof UpdateOptions>): ObjectiveSpec {
  const { objective } = options;
  if (typeof objective !== 'string') return objective;
  const keys = Object.keys({ ...ownShape, ...commonShape }) as (keyof typeof ownShape | keyof typeof commonShape)[];
  return {
    name: objective,
    options: Object.fromEntries(keys.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]]))),
  };
}
