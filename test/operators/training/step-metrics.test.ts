import { describe, expect, it } from 'vitest';

import {
  addTokens,
  graphMetrics,
  NO_TOKENS,
  stepStatistics,
  stepTaken,
  tokensOf,
} from '../../../src/operators/training/step-metrics.js';
import type { Scored } from '../../../src/records.js';
import { advantaged } from '../stub-policy.js';

/** Completions of those lengths; of those that earned NaN nothing is known, and those of 9 tokens were cut off. */
function group(id: string, lengths: readonly number[], rewards: readonly number[]): Scored {
  const { advantages: _, ...row } = advantaged(id, lengths);
  const completions = row.completions.map((completion) => ({
    ...completion,
    finish: completion.tokens.length === 9 ? ('length' as const) : ('stop' as const),
  }));
  return { ...row, completions, rewards: { total: rewards, byName: { own: rewards.map((value) => value * 10) } } };
}

describe('stepStatistics', () => {
  it('takes spreads over all answers, and shares over groups', () => {
    const found = stepStatistics([group('a', [2, 3], [1, 2]), group('b', [4, 9], [4, 4])]);
    // python 3, statistics module: mean and stdev of [1, 2, 4, 4], and stdev of [1, 2].
    expect(found['reward']).toBe(2.75);
    expect(found['reward_std']).toBeCloseTo(1.5, 12);
    expect(found['rewards/own/mean']).toBe(27.5);
    expect(found['rewards/own/std']).toBeCloseTo(15, 12);
    expect(found['group/reward_std']).toBeCloseTo(0.7071067811865476 / 2, 12);
    expect(found['frac_reward_zero_std']).toBe(0.5);
  });

  it('leaves out what could not be scored, and takes a group of it for one without a difference', () => {
    const found = stepStatistics([group('a', [1, 1, 1], [NaN, 1, 3]), group('b', [1, 1, 1], [NaN, NaN, 5])]);
    expect(found).toMatchObject({ reward: 3, reward_std: 2, frac_reward_zero_std: 0.5 });
    expect(stepStatistics([group('a', [1, 1], [NaN, 5])])).toMatchObject({
      reward: 5,
      reward_std: NaN,
      frac_reward_zero_std: 1,
    });
  });

  it('tells lengths of all answers, and of those that ended by themselves', () => {
    expect(stepStatistics([group('a', [2, 9], [0, 1]), group('b', [5, 5], [0, 1])])).toMatchObject({
      'completions/mean_length': 5.25,
      'completions/min_length': 2,
      'completions/max_length': 9,
      'completions/clipped_ratio': 0.25,
      'completions/mean_terminated_length': 4,
      'completions/min_terminated_length': 2,
      'completions/max_terminated_length': 5,
    });
    expect(stepStatistics([group('a', [9, 9], [0, 1])])).toMatchObject({
      'completions/clipped_ratio': 1,
      'completions/mean_terminated_length': 0,
      'completions/max_terminated_length': 0,
    });
  });
});

describe('graphMetrics', () => {
  it('calls outputs as TRL does, others the policy’s, and knows nothing of the extremes of nothing', () => {
    expect(
      graphMetrics({
        loss: 1,
        clipLow: 0.25,
        capped: 0.5,
        gamma: 2,
        drift: 0.1,
        clipLowMin: Infinity,
        apartMax: -Infinity,
      }),
    ).toEqual({
      loss: 1,
      'clip_ratio/low_mean': 0.25,
      cispo_clip_ratio: 0.5,
      'vespo/phi_seq_mean': 2,
      'policy/drift': 0.1,
      'clip_ratio/low_min': NaN,
      'sampling/sampling_logp_difference/max': NaN,
    });
  });
});

it('stepTaken says how the optimizer took it', () => {
  expect(stepTaken(3, { learningRate: 0.5 }, 2)).toEqual({ grad_norm: 3, learning_rate: 0.5, 'left_out/steps': 2 });
});

it('tokensOf counts a prompt once for each of its answers', () => {
  const row = { ...group('a', [2, 9], [0, 1]), promptTokens: [1, 2, 3] };
  expect(tokensOf(row)).toEqual({ read: 6, written: 11 });
  expect(addTokens(addTokens(NO_TOKENS, tokensOf(row)), tokensOf(row))).toEqual({ read: 12, written: 22 });
});
