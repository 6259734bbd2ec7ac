import { map, type MonoTypeOperatorFunction } from 'rxjs';

import type { Advantaged } from '../../records.js';
import { nonFinite } from './finite.js';

const FLAT = 'no spread: all its answers earned the same';
const STALE = 'stale: written too many steps ago';

/** Whether a row was marked because there is nothing to learn from it, or no longer. */
export function isFiltered(reason: string): boolean {
  return reason === FLAT || reason === STALE;
}

/** Which groups a step does without. */
export interface Choice {
  /**
   * Leaves out groups without spread; for each step, so many times the groups that it takes may be replaced by others.
   */
  readonly dynamicSampling?: number | undefined;
  /** Most steps since a row was written. */
  readonly maxStaleness?: number | undefined;
}

/** Whether no completion of a group did better than another, as far as rewards that are finite tell. */
export function hasNoSignal(row: Pick<Advantaged, 'advantages' | 'rewards'>): boolean {
  return row.advantages.every((advantage) => advantage === 0) && nonFinite(row) === undefined;
}

/** The row, marked where a step of a policy of that version does without it. */
export function markFiltered<T extends Advantaged>(
  row: T,
  version: number,
  { dynamicSampling, maxStaleness = Infinity }: Choice,
): T {
  if (version - row.policyVersion > maxStaleness) return marked(row, STALE);
  return dynamicSampling !== undefined && hasNoSignal(row) ? marked(row, FLAT) : row;
}

/**
 * Marks groups without spread at once, so that others come in their place, up to `most` times the `size` of a step.
 *
 * Those beyond that go on unmarked and fill the step up: as many rows wait for it as without refilling, and none is let
 * in while
 * it is taken, so that a window of `size` stays strictly on-policy.
 *
 * @param told of each group that is marked.
 * @see DAPO, arXiv:2503.14476, section 3.2
 */
export function refilled<T extends Advantaged>(
  size: number,
  most: number,
  told: (row: T) => void,
): MonoTypeOperatorFunction<T> {
  let [gathered, replaced] = [0, 0];
  return map((row) => {
    if (row.skipped) return row;
    if (hasNoSignal(row) && replaced < most * size) {
      replaced++;
      told(row);
      return marked(row, FLAT);
    }
    if (++gathered === size) [gathered, replaced] = [0, 0];
    return row;
  });
}

function marked<T extends Advantaged>(row: T, reason: string): T {
  return { ...row, skipped: { stage: 'update', reason } };
}
