import { concatMap, from, of, type OperatorFunction } from 'rxjs';

import { defined } from '../defined.js';
import { DataError, messageOf, shown, UsageError } from '../errors.js';
import type { Masked, Scored } from '../records.js';
import { RewardOptions, RewardWeights } from './rewards/options.js';
import { builtInRewards } from './rewards/parts.js';

export { RewardOptions } from './rewards/options.js';

/** A custom reward, added to the built-in ones. */
export interface RewardFunction {
  /** Name of its part in `rewards.byName`. */
  readonly name: string;
  readonly weight: number;
  /** The file that it comes from, for messages. */
  readonly module?: string;
  /**
   * @returns [G], a number for each completion; null where the function doesn't apply. NaN and infinities cause a
   * skipped step.
   */
  score(row: Masked): readonly (number | null)[] | Promise<readonly (number | null)[]>;
}

/**
 * Adds `rewards`: format, iou and structure at frame size, the other parts that have a weight, the functions' own, and
 * their weighted sum.
 *
 * A completion without a mask has iou and structure 0; without ground truth they are NaN and don't apply. A function's
 * non-finite result is recorded in `rewards.notFinite`, and makes the total non-finite. Rows are scored one after
 * another; marked rows pass by, and an unusable ground truth or mask marks its row.
 *
 * @throws {UsageError} if a function's name is taken, it throws, or it doesn't return a number for each completion.
 * @see Seg-R1, arXiv:2506.22624: format + 0.7 IoU + 0.3 S-measure.
 */
export function reward<T extends Masked>(
  functions: readonly RewardFunction[] = [],
  options: RewardOptions = {},
): OperatorFunction<T, T & Scored> {
  const checked = RewardOptions.parse(options);
  const worth: Record<string, number | undefined> = { ...checked.weights };
  const taken = new Set(Object.keys(RewardWeights.shape));
  for (const { name, weight } of functions) {
    if (taken.has(name))
      throw new UsageError(`reward  functions: expected names that differ; got ${shown(name)} twice`);
    taken.add(name);
    worth[name] = weight;
  }
  const counted = functions.filter(({ weight }) => weight !== 0);

  return concatMap((row) => {
    if (row.skipped) return of(row as T & Scored);
    let parts: Record<string, readonly number[]>;
    try {
      parts = builtInRewards(row, checked);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return of({ ...row, skipped: { stage: 'reward', reason: error.message } } as T & Scored);
    }
    const scored = (own: Record<string, readonly (number | null)[]>): T & Scored => ({
      ...row,
      rewards: together(parts, own, worth),
    });
    return counted.length === 0 ? of(scored({})) : from(scoresOf(row, counted).then(scored));
  });
}

/** [G]; without parts of weight 0 and those that don't apply (NaN); NaN only if no part is left. */
export function weightedSum(
  parts: Readonly<Record<string, readonly number[]>>,
  weights: Readonly<Record<string, number | undefined>>,
): number[] {
  const counted = Object.entries(parts).flatMap(([name, values]) =>
    weights[name] ? [{ weight: weights[name], values }] : [],
  );
  const group = Object.values(parts)[0]?.length ?? 0;
  return Array.from({ length: group }, (_, i) => {
    const scored = counted.filter(({ values }) => !Number.isNaN(values[i]));
    return scored.length === 0 ? NaN : scored.reduce((sum, { weight, values }) => sum + weight * values[i], 0);
  });
}

/** A function's null is NaN in its part; a function's NaN also makes the total NaN. */
function together(
  parts: Readonly<Record<string, readonly number[]>>,
  own: Readonly<Record<string, readonly (number | null)[]>>,
  weights: Readonly<Record<string, number | undefined>>,
): Scored['rewards'] {
  const byName = {
    ...parts,
    ...Object.fromEntries(Object.entries(own).map(([name, values]) => [name, values.map((value) => value ?? NaN)])),
  };
  const total = weightedSum(byName, weights).map((sum, g) =>
    Object.values(own).some((values) => Number.isNaN(values[g])) ? NaN : sum,
  );
  const notFinite = Object.entries(own).flatMap(([name, values]) =>
    values.flatMap((value, g) =>
      value === null || Number.isFinite(value) ? [] : [`${name} gave ${value} for completion ${g}`],
    ),
  )[0];
  return { total, byName, ...defined({ notFinite }) };
}

async function scoresOf(
  row: Masked,
  functions: readonly RewardFunction[],
): Promise<Record<string, readonly (number | null)[]>> {
  const own: Record<string, readonly (number | null)[]> = {};
  for (const each of functions) own[each.name] = await ownScores(each, row);
  return own;
}

async function ownScores(own: RewardFunction, row: Masked): Promise<(number | null)[]> {
  const where = `reward  ${own.name}${own.module === undefined ? '' : ` of ${own.module}`}, row ${row.id}`;
  // Before: a function may change the row.
  const group = row.completions.length;
  let values: unknown;
  try {
    values = await own.score(row);
  } catch (error) {
    throw new UsageError(`${where}: expected scores; got the error ${shown(messageOf(error))}`, { cause: error });
  }
  const wanted = `${where}: expected ${group} numbers or nulls, one a completion`;
  if (!isList(values) || values.length !== group) throw new UsageError(`${wanted}; got ${shown(values)}`);
  return Array.from(values, (value: unknown, g) => {
    if (value === null || typeof value === 'number') return value;
    throw new UsageError(`${wanted}; got ${shown(value)} for completion ${g}`);
  });
}

/** A list, or a typed array of numbers. */
function isList(value: unknown): value is ArrayLike<unknown> {
  return Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView));
}
