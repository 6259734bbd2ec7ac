import { map, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import type { Advantaged, Scored } from '../records.js';

export const AdvantageOptions = z.strictObject({
  /** `group` divides by the group's spread (GRPO); `none` only centres (Dr. GRPO). */
  scale: z.enum(['group', 'none']).default('group'),
});
export type AdvantageOptions = z.input<typeof AdvantageOptions>;

/** Adds `advantages` to each group: how much better a completion did than its siblings. Marked rows pass by. */
export function advantage<T extends Scored>(options: AdvantageOptions = {}): OperatorFunction<T, T & Advantaged> {
  const { scale } = AdvantageOptions.parse(options);
  return map((group) => (group.skipped ? (group as T & Advantaged) : { ...group, advantages: groupAdvantages(group.rewards.total, scale) }));
}

/**
 * `(r - mean) / (std + 1e-4)` over one group, std with n - 1 as `torch.std` takes it.
 *
 * @param rewards [G], unitless; NaN is unscorable, is left out of mean and std and gets 0.
 * @returns [G]; all zeros where fewer than two can be scored or all are equal, for such a group teaches nothing.
 * @see DeepSeekMath, arXiv:2402.03300, section 4.1.2; without the division, arXiv:2503.20783.
 */
export function groupAdvantages(rewards: readonly number[], scale: 'group' | 'none'): number[] {
  const scored = rewards.filter((r) => !Number.isNaN(r));
  const n = scored.length;
  if (n < 2 || scored.every((r) => r === scored[0])) return rewards.map(() => 0);

  const mean = scored.reduce((sum, r) => sum + r, 0) / n;
  const variance = scored.reduce((sum, r) => sum + (r - mean) ** 2, 0) / (n - 1);
  const divisor = scale === 'none' ? 1 : Math.sqrt(variance) + 1e-4;
  return rewards.map((r) => (Number.isNaN(r) ? 0 : (r - mean) / divisor));
}
