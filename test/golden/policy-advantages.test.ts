import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { groupAdvantages } from '../../src/operators/advantage.js';
import { weightedSum } from '../../src/operators/reward.js';
import { goldenFolder } from './golden.js';

interface Case {
  readonly name: string;
  readonly group: number;
  readonly weights: readonly number[];
  readonly aggregation: 'sum_then_normalize' | 'normalize_then_sum';
  readonly scale: 'group' | 'batch' | 'none' | null;
  readonly rewards: readonly (readonly (number | null)[])[];
  readonly total: readonly (number | null)[];
  readonly advantages: readonly (number | null)[];
}

const cases: Case[] = JSON.parse(readFileSync(join(goldenFolder(), 'policy', 'losses', 'advantages.json'), 'utf8'));
const ours = cases.filter(({ aggregation, scale }) => aggregation === 'sum_then_normalize' && (scale === 'group' || scale === 'none'));

describe('advantages agree with TRL', () => {
  it.each(ours)('$name, $weights, $scale', ({ group, scale, total, advantages }) => {
    for (let start = 0; start < total.length; start += group) {
      const rewards = total.slice(start, start + group).map((r) => r ?? NaN);
      const own = groupAdvantages(rewards, scale as 'group' | 'none');
      // TRL takes n / (n - 1) of the variance in float32: 1.5e-8 of an advantage.
      own.forEach((a, i) => expect(a).toBeCloseTo(advantages[start + i] ?? 0, 7));
    }
  });
});

describe('totals agree with TRL where every function scored', () => {
  it.each(ours)('$name, $weights, $scale', ({ weights, rewards, total }) => {
    const names = weights.map((_, k) => `f${k}`);
    const parts = Object.fromEntries(names.map((name, k) => [name, rewards.map((row) => row[k] ?? NaN)]));
    const own = weightedSum(parts, Object.fromEntries(names.map((name, k) => [name, weights[k]])));
    rewards.forEach((row, i) => (row.includes(null) ? expect(own[i]).toBeNaN() : expect(own[i]).toBeCloseTo(total[i] as number, 12)));
  });
});
