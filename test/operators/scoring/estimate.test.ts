import { describe, expect, it } from 'vitest';

import { estimateOf } from '../../../src/operators/scoring/estimate.js';

describe('estimateOf', () => {
  // python 3: mean(v), stdev(v) / sqrt(len(v)) for v = [1, 2, 4, 8]
  it('agrees with python on four values', () => {
    const { mean, error, n } = estimateOf([1, 2, 4, 8]);
    expect([mean, n]).toEqual([3.75, 4]);
    expect(error).toBeCloseTo(1.5478479684172259, 12);
  });
  it('leaves out what is not a number', () => expect(estimateOf([1, NaN, 3])).toEqual(estimateOf([1, 3])));
  it('keeps its digits far from 0', () =>
    expect(estimateOf([1e9 + 1, 1e9 + 2, 1e9 + 3]).error).toBeCloseTo(1 / Math.sqrt(3), 9));
  it.each([
    [[], NaN, 0],
    [[5], 5, 1],
  ])('has no error for %j', (values, mean, n) => expect(estimateOf(values)).toEqual({ mean, error: NaN, n }));
});
