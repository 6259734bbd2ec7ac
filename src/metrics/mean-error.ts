import type { LevelCounts } from './level-counts.js';

/**
 * MAE in [0, 1]: the mean distance of the confidences from the ground truth. @param confidence [256], by grey level.
 */
export function meanAbsoluteError(counts: LevelCounts, confidence: Float64Array): number {
  return meanOf(counts, confidence, (error) => error);
}

/**
 * MSE in [0, 1]: the mean squared distance of the confidences from the ground truth.
 *
 * @param confidence [256], by grey level.
 */
export function meanSquaredError(counts: LevelCounts, confidence: Float64Array): number {
  return meanOf(counts, confidence, (error) => error * error);
}

function meanOf(
  { object, background, pixels }: LevelCounts,
  confidence: Float64Array,
  cost: (error: number) => number,
): number {
  let total = 0;
  for (let level = 0; level < 256; level++) {
    if (object[level] > 0) total += object[level] * cost(1 - confidence[level]);
    if (background[level] > 0) total += background[level] * cost(confidence[level]);
  }
  return total / pixels;
}
