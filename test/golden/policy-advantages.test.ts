import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { batchAdvantages, groupAdvantages, partAdvantages } from '../../src/operators/advantage.js';
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
const summed = cases.filter(({ aggregation }) => aggregation === 'sum_then_normalize');

describe('advantages agree with TRL', () => {
  it.each(cases)('$name, $weights, $aggregation, $scale', (one) => {
    const own = advantagesOf(one).flat();
    expect(own).toHaveLength(one.advantages.length);
    // TRL takes n / (n - 1) of the variance in float32: 1.5e-8 of an advantage.
    own.forEach((a, i) => expect(a).toBeCloseTo(one.advantages[i] ?? 0, 7));
  });
});

function advantagesOf({ group, aggregation, scale, weights, rewards, total }: Case): number[][] {
  const inGroups = <T>(rows: readonly T[]): T[][] => Array.from({ length: rows.length / group }, (_, g) => rows.slice(g * group, (g + 1) * group));
  if (aggregation === 'normalize_then_sum') {
    const names = weights.map((_, k) => `f${k}`);
    const parts = inGroups(rewards).map((rows) => Object.fromEntries(names.map((name, k) => [name, rows.map((row) => row[k] ?? NaN)])));
    return partAdvantages(parts, Object.fromEntries(names.map((name, k) => [name, weights[k]])));
  }
  const groups = inGroups(total.map((r) => r ?? NaN));
  switch (scale) {
    case 'group':
    case 'none':
      return groups.map((own) => groupAdvantages(own, scale));
    case 'batch':
      return batchAdvantages(groups);
    case null:
    default:
      throw new Error(`no advantages for ${aggregation} by ${scale}`);
  }
}

describe('totals agree with TRL where every function scored', () => {
  it.each(summed)('$name, $weights, $scale', ({ weights, rewards, total }) => {
    const names = weights.map((_, k) => `f${k}`);
    const parts = Object.fromEntries(names.map((name, k) => [name, rewards.map((row) => row[k] ?? NaN)]));
    const own = weightedSum(parts, Object.fromEntries(names.map((name, k) => [name, weights[k]])));
    rewards.forEach((row, i) => (row.includes(null) ? expect(own[i]).toBeNaN() : expect(own[i]).toBeCloseTo(total[i] as number, 12)));
  });
});
