import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { popeScores } from '../../../src/metrics/benchmarks/pope.js';
import { anyVerdicts, verdict } from './verdicts.js';

describe('popeScores', () => {
  it('counts by hand: 2 hits, 1 false alarm, 1 miss, 1 rightly refused, 1 unread where yes was due', () => {
    const all = ['yes/yes', 'yes/yes', 'no/yes', 'yes/no', 'no/no', 'yes/?'].map((told) => verdict(told));
    expect(popeScores(all)).toEqual({ accuracy: 3 / 6, precision: 2 / 3, recall: 2 / 4, f1: 4 / 7, yesRate: 3 / 6 });
  });

  it('has no precision without a yes, and no recall where none was due', () => {
    expect(popeScores([verdict('no/no'), verdict('no/?')])).toEqual({
      accuracy: 0.5,
      precision: NaN,
      recall: NaN,
      f1: NaN,
      yesRate: 0,
    });
    expect(popeScores([verdict('yes/?')])).toMatchObject({ precision: NaN, recall: 0, f1: 0 });
  });

  it('gives shares, and F1 as the harmonic mean', () => {
    fc.assert(
      fc.property(anyVerdicts(['yes', 'no']), (all) => {
        const scores = popeScores(all);
        const { precision = NaN, recall = NaN, f1 } = scores;
        for (const value of Object.values(scores))
          if (!Number.isNaN(value)) expect([value >= 0, value <= 1]).toEqual([true, true]);
        if (precision + recall > 0) expect(f1).toBeCloseTo((2 * precision * recall) / (precision + recall), 12);
      }),
    );
  });
});
