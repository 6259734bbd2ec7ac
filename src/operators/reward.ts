import { concatMap, from, of, type OperatorFunction } from 'rxjs';

import { DataError, messageOf, shown, UsageError } from '../errors.js';
import type { Masked, Scored } from '../records.js';
import { RewardOptions, RewardWeights } from './rewards/options.js';
import { builtInRewards } from './rewards/parts.js';

export { RewardOptions } from './rewards/options.js';

/** A reward of one's own, added to the built-in ones. */
export interface RewardFunction {
  /** Names its part of `rewards.byName`. */
  readonly name: string;
  readonly weight: number;
  /** The file that it comes from, for messages. */
  readonly module?: string;
  /** @returns [G], one number a completion; null or NaN where it can't be scored. */
  score(row: Masked): readonly (number | null)[] | Promise<readonly (number | null)[]>;
}

/**
 * Adds `rewards`: format, iou and structure at frame size, the other parts that have a weight, the functions' own, and their weighted sum.
 *
 * A completion without a mask has iou and structure 0; without a truth they are NaN, as is every total that counts them.
 * Rows are scored one after another; marked rows pass by, and a truth or mask that can't be used marks its row.
 *
 * @throws {UsageError} if a function's name is taken, it throws, or it doesn't return a number a completion.
 * @see Seg-R1, arXiv:2506.22624: format + 0.7 IoU + 0.3 S-measure.
 */
export function reward<T extends Masked>(functions: readonly RewardFunction[] = [], options: RewardOptions = {}): OperatorFunction<T, T & Scored> {
  const checked = RewardOptions.parse(options);
  const worth: Record<string, number | undefined> = { ...checked.weights };
  const taken = new Set(Object.keys(RewardWeights.shape));
  for (const { name, weight } of functions) {
    if (taken.has(name)) throw new UsageError(`reward  functions: expected names that differ; got ${shown(name)} twice`);
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
    const scored = (byName: Record<string, readonly number[]>): T & Scored => ({ ...row, rewards: { total: weightedSum(byName, worth), byName } });
    return counted.length === 0 ? of(scored(parts)) : from(withFunctions(row, parts, counted).then(scored));
  });
}

/** [G]; parts of weight 0 are left out, so that an unscorable one among them spoils nothing. */
export function weightedSum(parts: Readonly<Record<string, readonly number[]>>, weights: Readonly<Record<string, number | undefined>>): number[] {
  const counted = Object.entries(parts).filter(([name]) => (weights[name] ?? 0) !== 0);
  const group = Object.values(parts)[0]?.length ?? 0;
  return Array.from({ length: group }, (_, i) => counted.reduce((sum, [name, values]) => sum + (weights[name] ?? 0) * values[i], 0));
}

async function withFunctions(row: Masked, parts: Record<string, readonly number[]>, functions: readonly RewardFunction[]): Promise<Record<string, readonly number[]>> {
  const byName = { ...parts };
  for (const each of functions) byName[each.name] = await ownScores(each, row);
  return byName;
}

async function ownScores(own: RewardFunction, row: Masked): Promise<number[]> {
  const where = `reward  ${own.name}${own.module === undefined ? '' : ` of ${own.module}`}, row ${row.id}`;
  let values: unknown;
  try {
    values = await own.score(row);
  } catch (error) {
    throw new UsageError(`${where}: expected scores; got the error ${shown(messageOf(error))}`, { cause: error });
  }
  const wanted = `${where}: expected ${row.completions.length} finite numbers or nulls, one a completion`;
  if (!Array.isArray(values) || values.length !== row.completions.length) throw new UsageError(`${wanted}; got ${shown(values)}`);
  return values.map((value: unknown, g) => {
    if (value === null) return NaN;
    if (typeof value === 'number' && Math.abs(value) !== Infinity) return value;
    throw new UsageError(`${wanted}; got ${typeof value === 'number' ? value : shown(value)} for completion ${g}`);
  });
}
