import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { momentsOf, NOTHING, together, variance } from '../../src/metrics/moments.js';

const values = Float64Array.of(-1, 0, 0.1, 0.5, 3);
const times = fc.array(fc.nat({ max: 9 }), { minLength: 5, maxLength: 5 }).map((counts) => Uint32Array.from(counts));

describe('moments', () => {
  // numpy 2: np.mean and np.var(ddof=1) of [0, 0, 0.1, 3]
  it('agree with numpy on four values', () => {
    const moments = momentsOf(values, Uint32Array.of(0, 2, 1, 0, 1));
    expect(moments.mean).toBeCloseTo(0.775, 12);
    expect(variance(moments)).toBeCloseTo(2.2025, 12);
  });

  it('do not spread where all values are one, even put together', () => {
    const alike = momentsOf(values, Uint32Array.of(0, 0, 7, 0, 0));
    expect(alike).toEqual({ count: 7, mean: 0.1, spread: 0 });
    expect(together(alike, alike)).toEqual({ count: 14, mean: 0.1, spread: 0 });
  });

  it('of nothing are nothing', () => {
    expect(momentsOf(values, new Uint32Array(5))).toEqual(NOTHING);
    expect(variance(NOTHING)).toBe(0);
  });

  it('of two are those of all their values', () => {
    fc.assert(
      fc.property(times, times, (a, b) => {
        const parted = together(momentsOf(values, a), momentsOf(values, b));
        const whole = momentsOf(
          values,
          a.map((n, k) => n + b[k]),
        );
        expect(parted.count).toBe(whole.count);
        expect(parted.mean).toBeCloseTo(whole.mean, 12);
        expect(parted.spread).toBeCloseTo(whole.spread, 9);
      }),
    );
  });
});
