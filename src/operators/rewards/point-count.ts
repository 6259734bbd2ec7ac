import type { Prompt } from '../../records.js';

/** Points at which the reward is 1. */
const IDEAL = 8;
/** Distance from the ideal, in points, at which the reward is exp(-1/2). */
const SIGMA = 2;

/**
 * exp(-(n - 8)² / (2 · 2²)) of the number of points, which all boxes share; in [0, 1], 0 without a prompt.
 *
 * @see Seg-R1's repository, where it is called the length reward and is unused.
 */
export function pointCount(prompt: Prompt | null): number {
  if (prompt === null) return 0;
  const points = prompt.objects[0]?.points.length ?? 0;
  return Math.exp(-((points - IDEAL) ** 2) / (2 * SIGMA ** 2));
}
