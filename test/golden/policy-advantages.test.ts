import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { batchAdvantages, groupAdvantages, partAdvantages, partSums } from '../../src/operators/advantage.js';
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
  readonly advantages: readonly number[];
}

const cases: Case[] = JSON.parse(readFileSync(join(goldenFolder(), 'policy', 'losses', 'advantages.json'), 'utf8'));

describe('totals and advantages agree with TRL, whatever did not score', () => {
  it.each(cases)('$name, $weights, $aggregation, $scale', (one) => {
    const totals = totalsOf(one);
    expect(totals.flat()).toHaveLength(one.total.length);
    totals
      .flat()
      .forEach((total, i) => agree(total, one.total[i], one.aggregation === 'sum_then_normalize' ? 1e-12 : SCALED));
    const advantages = advantagesOf(one, totals).flat();
    expect(advantages).toHaveLength(one.advantages.length);
    advantages.forEach((a, i) => agree(a, one.advantages[i], SCALED));
  });
});

/**
 * How far what was scaled may lie apart, as a share: TRL takes n / (n - 1) of the variance in float32, which is off by
 * 1.5e-8.
 */
const SCALED = 3e-8;

function agree(own: number, trl: number | null, share: number): void {
  if (trl === null) expect(own).toBeNaN();
  else expect(Math.abs(own - trl)).toBeLessThan(share * Math.max(1, Math.abs(trl)));
}

/** By group and part, NaN where a function gave none. */
function partsOf({ group, weights, rewards }: Case): Record<string, number[]>[] {
  return Array.from({ length: rewards.length / group }, (_, g) => {
    const rows = rewards.slice(g * group, (g + 1) * group);
    return Object.fromEntries(weights.map((__, k) => [`f${k}`, rows.map((row) => row[k] ?? NaN)]));
  });
}

const named = ({ weights }: Case): Record<string, number> =>
  Object.fromEntries(weights.map((weight, k) => [`f${k}`, weight]));

function totalsOf(one: Case): number[][] {
  const total = one.aggregation === 'normalize_then_sum' ? partSums : weightedSum;
  return partsOf(one).map((parts) => total(parts, named(one)));
}

function advantagesOf(one: Case, totals: readonly number[][]): number[][] {
  if (one.aggregation === 'normalize_then_sum') return partAdvantages(partsOf(one), named(one));
  const { scale } = one;
  switch (scale) {
    case 'group':
    case 'none':
      return totals.map((own) => groupAdvantages(own, scale));
    case 'batch':
      return batchAdvantages(totals);
    case null:
    default:
      throw new Error(`no advantages for ${one.aggregation} by ${scale}`);
  }
}
