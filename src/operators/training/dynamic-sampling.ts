import { map, type MonoTypeOperatorFunction } from 'rxjs';

import type { Advantaged } from '../../records.js';
import { nonFinite } from './finite.js';

const FLAT = 'no spread: all its answers earned the same';
const STALE = 'stale: written too many steps ago';

/** Whether a row was marked because it teaches nothing or is too old. */
export function isFiltered(reason: string): boolean {
  return reason === FLAT || reason === STALE;
}

/** Filters groups of a step. */
export interface Choice {
  /** Filters groups without spread; each step may replace up to this many times its number of groups. */
  readonly dynamicSampling?: number | undefined;
  /** Most steps since a row was written. */
  readonly maxStaleness?: number | undefined;
}

/** Whether all finite rewards of a group are equal. */
export function hasNoSignal(row: Pick<Advantaged, 'advantages' | 'rewards'>): boolean {
  return row.advantages.every((advantage) => advantage === 0) && nonFinite(row) === undefined;
}

/** The row, marked if a step at that policy version filters it. */
export function markFiltered<T extends Advantaged>(
  row: T,
  version: number,
  { dynamicSampling, maxStaleness = Infinity }: Choice,
): T {
  if (version - row.policyVersion > maxStaleness) return marked(row, STALE);
  return dynamicSampling !== undefined && hasNoSignal(row) ? marked(row, FLAT) : row;
}

/**
 * Marks groups without spread at once, so others replace them, up to `most` times the `size` of a step. Further ones
 * stay unmarked and fill the step: no more rows wait than without replacement, and none enters during the step, so a
 * window of `size` stays strictly on-policy.
 *
 * @param told called for each filtered group.
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
