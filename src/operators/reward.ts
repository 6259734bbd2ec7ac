import { concatMap, from, of, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { DataError, shown, UsageError } from '../errors.js';
import { decodeMask, maskIou } from '../io/mask.js';
import { structureMeasure } from '../metrics/structure-measure.js';
import type { Mask, Masked, Scored } from '../records.js';

export const RewardOptions = z.strictObject({
  /** What each part is worth; a part of weight 0 is still written down. */
  weights: z
    .strictObject({
      /** 1 where every part of the answer parsed. */
      format: z.number().default(1),
      /** Intersection over union with the truth, in [0, 1]. */
      iou: z.number().default(0.7),
      /** S-measure, in [0, 1]. */
      structure: z.number().default(0.3),
    })
    .prefault({}),
});
export type RewardOptions = z.input<typeof RewardOptions>;

/** A reward of one's own, added to the built-in ones. */
export interface RewardFunction {
  /** Names its part of `rewards.byName`. */
  readonly name: string;
  readonly weight: number;
  /** @returns [G], one number a completion; NaN where it can't be scored. */
  score(row: Masked): readonly number[] | Promise<readonly number[]>;
}

/**
 * Adds `rewards`: format, iou and structure at frame size, the functions' own, and their weighted sum.
 *
 * A completion without a mask has iou and structure 0; without a truth they are NaN, as is every total that counts them.
 * Rows are scored one after another; marked rows pass by, and a truth or mask that can't be used marks its row.
 *
 * @throws {UsageError} if a function's name is taken, or it doesn't return a number a completion.
 * @see Seg-R1, arXiv:2506.22624: format + 0.7 IoU + 0.3 S-measure.
 */
export function reward<T extends Masked>(functions: readonly RewardFunction[] = [], options: RewardOptions = {}): OperatorFunction<T, T & Scored> {
  const { weights } = RewardOptions.parse(options);
  const worth: Record<string, number> = { ...weights };
  for (const { name, weight } of functions) {
    if (Object.hasOwn(worth, name)) throw new UsageError(`reward  functions: expected names that differ; got ${shown(name)} twice`);
    worth[name] = weight;
  }

  return concatMap((row) => {
    if (row.skipped) return of(row as T & Scored);
    let parts: Record<string, readonly number[]>;
    try {
      parts = maskRewards(row);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return of({ ...row, skipped: { stage: 'reward', reason: error.message } } as T & Scored);
    }
    const scored = (byName: Record<string, readonly number[]>): T & Scored => ({ ...row, rewards: { total: weightedSum(byName, worth), byName } });
    return functions.length === 0 ? of(scored(parts)) : from(withFunctions(row, parts, functions).then(scored));
  });
}

/**
 * The built-in parts, [G] each.
 *
 * @throws {DataError} if a mask and the truth differ in size, or their runs don't fill it.
 */
export function maskRewards(row: Pick<Masked, 'masks' | 'formats' | 'truth'>): Record<'format' | 'iou' | 'structure', readonly number[]> {
  const { truth } = row;
  if (!truth) {
    const unscorable = row.masks.map(() => NaN);
    return { format: row.formats, iou: unscorable, structure: unscorable };
  }
  const bits = decodeMask(truth);
  const known = new Map<string, { iou: number; structure: number }>();
  const scores = row.masks.map((mask) => {
    if (mask === null) return { iou: 0, structure: 0 };
    const key = mask.counts.join();
    const score = known.get(key) ?? { iou: maskIou(mask, truth), structure: structure(mask, bits) };
    known.set(key, score);
    return score;
  });
  return { format: row.formats, iou: scores.map(({ iou }) => iou), structure: scores.map((score) => score.structure) };
}

/** [G]; parts of weight 0 are left out, so that an unscorable one among them spoils nothing. */
export function weightedSum(parts: Readonly<Record<string, readonly number[]>>, weights: Readonly<Record<string, number>>): number[] {
  const counted = Object.entries(parts).filter(([name]) => weights[name] !== 0);
  const group = Object.values(parts)[0]?.length ?? 0;
  return Array.from({ length: group }, (_, i) => counted.reduce((sum, [name, values]) => sum + weights[name] * values[i], 0));
}

function structure(mask: Mask, truth: Uint8Array): number {
  return Math.min(1, Math.max(0, structureMeasure(decodeMask(mask), truth, mask)));
}

async function withFunctions(row: Masked, parts: Record<string, readonly number[]>, functions: readonly RewardFunction[]): Promise<Record<string, readonly number[]>> {
  const byName = { ...parts };
  for (const each of functions) {
    const values = await each.score(row);
    const fits = values.length === row.completions.length && values.every((value) => typeof value === 'number');
    if (!fits) throw new UsageError(`reward  ${each.name}: expected ${row.completions.length} numbers, one a completion; got ${shown(values)}`);
    byName[each.name] = values;
  }
  return byName;
}
