import { map, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import type { Advantaged, Scored } from '../records.js';
import { batchSteps } from './training/batch-steps.js';
import { deviation, mean } from './scoring/statistics.js';

export const AdvantageOptions = z.strictObject({
  /**
   * `group` divides by the group's spread (GRPO, arXiv:2402.03300); `batch` by that of the step's groups together
   * (arXiv:2508.08221);
   * `none` only centres (Dr. GRPO, arXiv:2503.20783); `parts` scales each part of the reward within the group, then
   * their sum over the
   * step (GDPO, arXiv:2601.05242).
   */
  scale: z.enum(['group', 'batch', 'none', 'parts']).default('group'),
  /** Groups over which `batch` and `parts` compute a spread; as many as in a step of `update`. */
  groupsPerStep: z.int().min(1).default(8),
  /** Weight of each of the `parts`, 0 for one that is absent; without it each has 1. */
  weights: z.record(z.string(), z.number()).optional(),
});
export type AdvantageOptions = z.input<typeof AdvantageOptions>;

/** Adds `advantages` to each group: how much better a completion did than its siblings. Marked rows pass by. */
export function advantage<T extends Scored>(options: AdvantageOptions = {}): OperatorFunction<T, T & Advantaged> {
  const { scale, groupsPerStep, weights } = AdvantageOptions.parse(options);
  if (scale === 'group' || scale === 'none') {
    return map((group) =>
      group.skipped ? (group as T & Advantaged) : { ...group, advantages: groupAdvantages(group.rewards.total, scale) },
    );
  }
  return batchSteps(groupsPerStep, async (rows: readonly T[]) => {
    const all =
      scale === 'batch'
        ? batchAdvantages(rows.map(({ rewards }) => rewards.total))
        : partAdvantages(
            rows.map(({ rewards }) => rewards.byName),
            weights,
          );
    return rows.map((row, i) => ({ ...row, advantages: all[i] }));
  });
}

const TINY = 1e-4;

/**
 * `(r - mean) / (std + 1e-4)` over one group, std with n - 1 as `torch.std` takes it.
 *
 * @param rewards [G], unitless; NaN is unscorable: excluded from mean and std, advantage 0.
 * @returns [G]; all zeros where fewer than two can be scored or all are equal: such a group teaches nothing.
 * @see DeepSeekMath, arXiv:2402.03300, section 4.1.2; without the division, arXiv:2503.20783.
 */
export function groupAdvantages(rewards: readonly number[], scale: 'group' | 'none'): number[] {
  const centred = centre(rewards);
  const divisor = scale === 'none' ? 1 : deviation(rewards) + TINY;
  return centred.map((r) => known(r / divisor));
}

/**
 * Rewards minus their group's mean, divided by the spread of all rewards of the step.
 *
 * @param groups [group][G]; NaN is unscorable, as in `groupAdvantages`.
 * @see Lite PPO, arXiv:2508.08221
 */
export function batchAdvantages(groups: readonly (readonly number[])[]): number[][] {
  const spread = deviation(groups.flat()) + TINY;
  return groups.map((rewards) => centre(rewards).map((r) => known(r / spread)));
}

/**
 * Each part of the reward scaled within its group, so none dominates; then the weighted sum, scaled over the step.
 *
 * @param groups each with its parts, [G]; NaN is unscorable and adds nothing; a completion that no part scores gets 0.
 * @see GDPO, arXiv:2601.05242
 */
export function partAdvantages(
  groups: readonly Readonly<Record<string, readonly number[]>>[],
  weights?: Readonly<Record<string, number>>,
): number[][] {
  const sums = groups.map((parts) => partSums(parts, weights));
  // Their mean is 0 already, part by part and group by group.
  const spread = deviation(sums.flat()) + TINY;
  return sums.map((group) => group.map((sum) => known(sum / spread)));
}

/** Of one group: its parts, each scaled within it, added up by weight, [G]; NaN where none scores. */
export function partSums(
  parts: Readonly<Record<string, readonly number[]>>,
  weights?: Readonly<Record<string, number>>,
): number[] {
  const weight = (name: string): number => (weights ? (weights[name] ?? 0) : 1);
  const counted = Object.entries(parts).filter(([name]) => weight(name) !== 0);
  const scaled = counted.map(([name, rewards]) => groupAdvantages(rewards, 'group').map((a) => a * weight(name)));
  const scored = (i: number): boolean => counted.some(([, rewards]) => !Number.isNaN(rewards[i]));
  return Array.from({ length: counted[0]?.[1].length ?? 0 }, (_, i) =>
    scored(i) ? scaled.reduce((sum, part) => sum + part[i], 0) : NaN,
  );
}

/** Minus the mean; exact zeros where all are equal or only one is known. */
function centre(rewards: readonly number[]): number[] {
  const scored = rewards.filter((r) => !Number.isNaN(r));
  if (scored.every((r) => r === scored[0])) return rewards.map(() => 0);
  const middle = mean(scored);
  return rewards.map((r) => r - middle);
}

const known = (value: number): number => (Number.isNaN(value) ? 0 : value);
