import fc from 'fast-check';
import { expect, it } from 'vitest';

import { overlong } from '../../../src/operators/rewards/overlong.js';

// DAPO's own numbers: 20480 tokens at most, the last 4096 of which cost; ((20480 - 4096) - 18432) / 4096 = -0.5.
it.each([
  [0, 0],
  [16_384, 0],
  [18_432, -0.5],
  [20_480, -1],
  [30_000, -1],
])('%i tokens cost %d', (tokens, expected) => {
  expect(overlong(tokens, { max: 20_480, cache: 4096 })).toBeCloseTo(expected, 12);
});

it('never falls below -1, and never rises with the length', () => {
  const lengths = fc.tuple(fc.nat(500), fc.nat(500), fc.integer({ min: 1, max: 200 }), fc.nat(200));
  fc.assert(
    fc.property(lengths, ([a, b, cache, more]) => {
      const cost = (tokens: number): number => overlong(tokens, { max: cache + more, cache });
      expect(cost(Math.max(a, b))).toBeLessThanOrEqual(cost(Math.min(a, b)));
      expect(cost(a)).toBeGreaterThanOrEqual(-1);
    }),
  );
});
