import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { assignment } from '../../src/metrics/assignment.js';

describe('assignment', () => {
  it.each([
    ['nothing', [], []],
    ['rows without columns', [[], []], [-1, -1]],
    ['one of each', [[7]], [0]],
    // Each row by itself would take column 0; together 1 + 2 is the least.
    [
      'two that want the same',
      [
        [1, 5],
        [0, 2],
      ],
      [0, 1],
    ],
    ['more columns than rows', [[4, 1, 3]], [1]],
    ['more rows than columns', [[4], [1], [3]], [-1, 0, -1]],
    [
      'costs below zero',
      [
        [-1, -3],
        [-2, -3],
      ],
      [1, 0],
    ],
  ])('%s', (_, costs, expected) => expect(assignment(costs)).toEqual(expected));

  it('costs as little as the best of all ways to pair', () => {
    const table = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })).chain(([n, m]) =>
      fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: m, maxLength: m }), {
        minLength: n,
        maxLength: n,
      }),
    );
    fc.assert(
      fc.property(table, (costs) => {
        const columns = assignment(costs);
        const paired = columns.filter((column) => column >= 0);
        expect(new Set(paired).size).toBe(paired.length);
        expect(paired).toHaveLength(Math.min(costs.length, costs[0]?.length ?? 0));
        expect(columns.reduce((sum, column, row) => sum + (costs[row]?.[column] ?? 0), 0)).toBe(cheapest(costs));
      }),
      { numRuns: 500 },
    );
  });
});

/** The least that pairing as many as can be costs, by trying everything. */
function cheapest(costs: readonly (readonly number[])[], row = 0, taken: readonly number[] = []): number {
  const [n, m] = [costs.length, costs[0]?.length ?? 0];
  if (row === n) return 0;
  const free = Array.from({ length: m }, (_, column) => column).filter((column) => !taken.includes(column));
  const taking = free.map((column) => (costs[row]?.[column] ?? 0) + cheapest(costs, row + 1, [...taken, column]));
  const leaving = n - row - 1 >= free.length ? [cheapest(costs, row + 1, taken)] : [];
  return Math.min(...taking, ...leaving);
}
