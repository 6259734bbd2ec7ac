import { boxIou } from '../../metrics/box.js';
import { boxOfMask, maskArea } from '../../io/mask.js';
import type { Box, Completion, Prompt, Scored } from '../../records.js';

/** Metrics of one completion, beside its reward. */
export interface AnswerQuality {
  /** IoU of the first box with the ground truth's; 0 without a box. */
  readonly box: number;
  /** IoU of the first box with the closest candidate; NaN without candidates. */
  readonly where: number;
  /** 1 where that candidate is the target and the IoU is at least 0.2; NaN without candidates. */
  readonly hit: number;
  readonly points: number;
  readonly tokens: number;
}

const NEAR = 0.2;

/** Metrics of a prompt itself, before any segmenter. */
export function answerQuality(
  row: Pick<Scored, 'truth' | 'candidates'>,
  prompt: Prompt | null,
  tokens: number,
): AnswerQuality {
  const box = prompt?.objects[0]?.box;
  const truth = row.truth && boxOfMask(row.truth);
  const points = prompt?.objects[0]?.points.length ?? 0;
  return { box: box && truth ? boxIou(box, truth) : 0, ...choice(row.candidates, box), points, tokens };
}

function choice(
  candidates: Scored['candidates'],
  box: Box | undefined,
): { readonly where: number; readonly hit: number } {
  if (!candidates) return { where: NaN, hit: NaN };
  const overlaps = candidates.boxes.map((candidate) => (box ? boxIou(box, candidate) : 0));
  const where = Math.max(...overlaps);
  return { where, hit: where >= NEAR && overlaps.indexOf(where) === candidates.target ? 1 : 0 };
}

/**
 * Means over all completions of some rows, by metric name.
 *
 * @see `docs/metrics.md`, which explains each
 */
export function statistics(rows: readonly Scored[]): Record<string, number> {
  const qualities = rows.flatMap((row) =>
    row.prompts.map((prompt, g) => answerQuality(row, prompt, row.completions[g]?.tokens.length ?? 0)),
  );
  const pick = (name: keyof AnswerQuality): number => mean(qualities.map((quality) => quality[name]));
  const candidates = rows.some((row) => row.candidates);
  return {
    reward: mean(rows.flatMap(({ rewards }) => rewards.total)),
    ...Object.fromEntries(rewardNames(rows).map((name) => [`rewards/${name}/mean`, mean(rewardsOf(rows, name))])),
    'group/reward_std': mean(rows.map(({ rewards }) => deviation(rewards.total))),
    'answer/box': pick('box'),
    ...(candidates ? { 'answer/hit': pick('hit'), 'answer/where': pick('where') } : {}),
    'answer/points': pick('points'),
    'answer/parsed': mean(rows.flatMap(({ formats }) => formats)),
    'answer/empty': mean(
      rows.flatMap(({ masks }) => masks.map((mask) => (mask === null || maskArea(mask) === 0 ? 1 : 0))),
    ),
    'completions/mean_length': pick('tokens'),
    'completions/clipped_ratio': mean(
      rows.flatMap(({ completions }) => completions.map(({ finish }: Completion) => (finish === 'length' ? 1 : 0))),
    ),
  };
}

/** Parts of the rewards of rows. */
export function rewardNames(rows: readonly Scored[]): string[] {
  return Object.keys(rows[0]?.rewards.byName ?? {});
}

/** One part of the reward, of every completion. */
export function rewardsOf(rows: readonly Scored[], name: string): number[] {
  return rows.flatMap(({ rewards }) => rewards.byName[name] ?? []);
}

/** Mean of what is a number; NaN where nothing is. */
export function mean(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** Standard deviation with n - 1; 0 for a single value. */
export function deviation(values: readonly number[]): number {
  const known = values.filter((value) => !Number.isNaN(value));
  if (known.length < 2) return 0;
  const centre = mean(known);
  return Math.sqrt(known.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (known.length - 1));
}
