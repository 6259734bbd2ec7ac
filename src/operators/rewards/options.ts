import { z } from 'zod';

/** Weights where none are given: Seg-R1's. */
export const USUAL_WEIGHTS = { format: 1, iou: 0.7, structure: 0.3 };

/**
 * Weight of each part, 0 for one that is absent; the first three are always recorded, the others only with a weight
 * other than 0.
 */
export const RewardWeights = z.strictObject({
  /** 1 if every part of the completion parsed. */
  format: z.number().default(0),
  /** Intersection over union with the ground truth, in [0, 1]. */
  iou: z.number().default(0),
  /** S-measure, in [0, 1]. */
  structure: z.number().default(0),
  /** How near the number of points is to 8, in [0, 1]. */
  pointCount: z.number().optional(),
  /** Penalty for long completions, in [-1, 0]; `length` says which are long. */
  length: z.number().optional(),
  /** IoU of the box around all boxes with the ground truth's, in [0, 1]. */
  boxIoU: z.number().optional(),
  /** For an empty ground truth, 1 for a completion without box and points, -1 for one with them; else 0. */
  noTarget: z.number().optional(),
  /** Boxes and points against the ground truth's objects one by one, in [0, 3]. */
  matching: z.number().optional(),
  /** IoU in steps: 0, 2, 3 or 4. */
  tieredIoU: z.number().optional(),
});

export const rewardShape = {
  weights: RewardWeights.prefault(USUAL_WEIGHTS),
  /** For `weights.length`: the length at which the penalty is 1, and how many tokens before it the penalty begins. */
  length: z
    .strictObject({ max: z.int().min(1), cache: z.int().min(1) })
    .refine(({ max, cache }) => cache <= max, { path: ['cache'], message: 'expected at most max' })
    .optional(),
  /** Where Seg-R1's released code differs from its paper. */
  legacy: z
    .strictObject({
      /** Replaces the S-measure by 1 - the predicted share of the frame: that code takes the ground truth for empty. */
      structure: z.boolean().default(false),
    })
    .prefault({}),
};

export const RewardOptions = z.strictObject(rewardShape).superRefine(measured);
export type RewardOptions = z.input<typeof RewardOptions>;

/** Refuses a weight of `length` without the option `length`. */
export function measured(
  { weights, length }: { weights: { length?: number | undefined }; length?: unknown },
  context: z.RefinementCtx,
): void {
  if (weights.length && length === undefined)
    context.addIssue({ code: 'custom', path: ['length'], message: 'expected { max, cache } beside weights.length' });
}

/** Parts that are recorded with any weight. */
const ALWAYS: readonly string[] = ['format', 'iou', 'structure'];

/** Names of the parts that are computed and recorded with these weights, in their order. */
export function partsOf(weights: Readonly<Record<string, number | undefined>>): string[] {
  return Object.keys(weights).filter((name) => ALWAYS.includes(name) || weights[name]);
}
