import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { mostUncertain } from '../../src/objectives/entropy.js';

describe('mostUncertain', () => {
  // numpy.quantile([0.5, 1, 2, 4], 1 - share): 1.5, 1, 4 and 0.5
  it.each([
    [
      0.5,
      [
        [0, 0],
        [1, 1],
      ],
    ],
    [
      2 / 3,
      [
        [0, 1],
        [1, 1],
      ],
    ],
    [
      0,
      [
        [0, 0],
        [0, 1],
      ],
    ],
    [
      1,
      [
        [1, 1],
        [1, 1],
      ],
    ],
  ])('picks the share of %f', (share, expected) =>
    expect(
      mostUncertain(
        [
          [0.5, 1],
          [2, 4],
        ],
        share,
      ),
    ).toEqual(expected),
  );

  it('leaves out what does not count', () => {
    expect(
      mostUncertain(
        [
          [NaN, 3],
          [1, NaN],
        ],
        0.5,
      ),
    ).toEqual([
      [0, 1],
      [0, 0],
    ]);
    expect(mostUncertain([[NaN], []], 0.5)).toEqual([[0], []]);
  });

  it('picks at least one token and its share of them, however they are cut up', () => {
    const rows = fc
      .array(
        fc.array(
          fc.integer({ min: 0, max: 40 }).map((x) => x / 8),
          { maxLength: 6 },
        ),
        { maxLength: 6 },
      )
      .filter((all) => all.flat().length > 0);
    fc.assert(
      fc.property(rows, fc.integer({ min: 0, max: 10 }), (entropies, tenths) => {
        const picked = mostUncertain(entropies, tenths / 10).flat();
        const count = picked.reduce((sum, one) => sum + one, 0);
        expect(count).toBeGreaterThanOrEqual(Math.max(1, Math.floor((picked.length - 1) * (tenths / 10))));
        expect(mostUncertain([entropies.flat()], tenths / 10)).toEqual([picked]);
      }),
    );
  });
});
