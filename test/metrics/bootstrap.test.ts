import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { bootstrap, quantile, unitsOf, type Measure } from '../../src/metrics/bootstrap.js';

const meanOf =
  (values: readonly number[]): Measure =>
  (weights) => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { mean: values.reduce((sum, value, i) => sum + value * weights[i], 0) / total };
  };
const each = (values: readonly number[]): number[][] => values.map((_, i) => [i]);
const some = fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 1, maxLength: 20 });

describe('bootstrap', () => {
  it('lies between the least and the greatest value, and draws the same for the same seed', () => {
    fc.assert(
      fc.property(some, fc.nat(), (values, seed) => {
        const { mean } = bootstrap(each(values), meanOf(values), seed);
        const { low, high, value } = mean;
        expect(low).toBeLessThanOrEqual(high);
        expect(low).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9);
        expect(high).toBeLessThanOrEqual(Math.max(...values) + 1e-9);
        expect(value).toBeCloseTo(values.reduce((sum, one) => sum + one, 0) / values.length, 9);
        expect(bootstrap(each(values), meanOf(values), seed)).toEqual({ mean });
      }),
      { numRuns: 15 },
    );
  });

  it('moves and stretches with its values', () => {
    fc.assert(
      fc.property(
        some,
        fc.double({ min: 0.1, max: 5, noNaN: true }),
        fc.double({ min: -5, max: 5, noNaN: true }),
        (values, times, more) => {
          const { mean } = bootstrap(each(values), meanOf(values), 3);
          const moved = bootstrap(each(values), meanOf(values.map((value) => value * times + more)), 3).mean;
          expect(moved.low).toBeCloseTo(mean.low * times + more, 6);
          expect(moved.high).toBeCloseTo(mean.high * times + more, 6);
        },
      ),
      { numRuns: 10 },
    );
  });

  it('is as wide as the standard error of a mean of 400 tells', () => {
    const values = Array.from({ length: 400 }, (_, i) => i % 2);
    const { low, high } = bootstrap(each(values), meanOf(values), 1).mean;
    // 1.96 × 0.5 / √400
    expect(low).toBeCloseTo(0.5 - 0.049, 2);
    expect(high).toBeCloseTo(0.5 + 0.049, 2);
  });

  it('is wider where items are drawn together', () => {
    const values = Array.from({ length: 100 }, (_, i) => (i < 50 ? 0 : 1));
    const apart = bootstrap(each(values), meanOf(values), 1).mean;
    const together = bootstrap(unitsOf(values.map((_, i) => String(Math.floor(i / 10)))), meanOf(values), 1).mean;
    expect(together.high - together.low).toBeGreaterThan(2 * (apart.high - apart.low));
    expect(together.value).toBe(apart.value);
  });

  it('leaves out draws without a number, and is NaN where there is none', () => {
    const onlyFirst: Measure = (weights) => ({ first: weights[0] === 0 ? NaN : 1, never: NaN });
    expect(bootstrap([[0], [1]], onlyFirst, 1)).toEqual({
      first: { value: 1, low: 1, high: 1 },
      never: { value: NaN, low: NaN, high: NaN },
    });
  });

  it('refuses a set of nothing', () =>
    expect(() => bootstrap([], () => ({}), 0)).toThrow('expected at least 1 unit; got 0'));
});

describe('quantile', () => {
  // numpy.quantile([1, 2, 4], [0, 0.025, 0.5, 0.75, 1])
  it.each([
    [0, 1],
    [0.025, 1.05],
    [0.5, 2],
    [0.75, 3],
    [1, 4],
  ])('%f of 1, 2, 4 is %f', (share, expected) =>
    expect(quantile(Float64Array.of(1, 2, 4), share)).toBeCloseTo(expected, 12),
  );
});
