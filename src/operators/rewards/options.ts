import { z } from 'zod';

/** What each part is worth; the first three are always written down, the others only where they weigh anything. */
export const RewardWeights = z.strictObject({
  /** 1 where every part of the answer parsed. */
  format: z.number().default(1),
  /** Intersection over union with the truth, in [0, 1]. */
  iou: z.number().default(0.7),
  /** S-measure, in [0, 1]. */
  structure: z.number().default(0.3),
  /** How near the number of points is to 8, in [0, 1]. */
  pointCount: z.number().optional(),
  /** Penalty of long answers, in [-1, 0]; `length` says which are. */
  length: z.number().optional(),
  /** IoU of the box around all boxes with the truth's, in [0, 1]. */
  boxIoU: z.number().optional(),
  /** Where the truth is empty, 1 for an answer without box and points, -1 for one with them; else 0. */
  noTarget: z.number().optional(),
  /** Boxes and points against the truth's objects one by one, in [0, 3]. */
  matching: z.number().optional(),
  /** IoU in steps: 0, 2, 3 or 4. */
  tieredIoU: z.number().optional(),
});

export const rewardShape = {
  weights: RewardWeights.prefault({}),
  /** For `weights.length`: tokens at which an answer costs 1, and so many before, from which on it costs anything. */
  length: z
    .strictObject({ max: z.int().min(1), cache: z.int().min(1) })
    .refine(({ max, cache }) => cache <= max, { path: ['cache'], message: 'expected at most max' })
    .optional(),
  /** What Seg-R1's released code does otherwise than its paper. */
  legacy: z
    .strictObject({
      /** 1 less the predicted share of the frame in place of the S-measure: there the truth was taken for empty. */
      structure: z.boolean().default(false),
    })
    .prefault({}),
};

export const RewardOptions = z.strictObject(rewardShape).superRefine(measured);
export type RewardOptions = z.input<typeof RewardOptions>;

/** Refuses a weight of `length` where nobody says what is long. */
export function measured(
  { weights, length }: { weights: { length?: number | undefined }; length?: unknown },
  context: z.RefinementCtx,
): void {
  if (weights.length && length === undefined)
    context.addIssue({ code: 'custom', path: ['length'], message: 'expected { max, cache } beside weights.length' });
}

/** Parts that are written down whatever they weigh. */
const ALWAYS: readonly string[] = ['format', 'iou', 'structure'];

/** Names of the parts that are computed and written down under these weights, in their order. */
export function partsOf(weights: Readonly<Record<string, number | undefined>>): string[] {
  return Object.keys(weights).filter((name) => ALWAYS.includes(name) || weights[name]);
}
