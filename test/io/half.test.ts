import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { fromF16, toF16 } from '../../src/io/half.js';

const every = Uint16Array.from({ length: 65536 }, (_, i) => i);
/** All finite halves, rising. */
const ladder = [...fromF16(every)].filter((value) => Number.isFinite(value)).toSorted((a, b) => a - b);

describe('toF16', () => {
  it('gives back every half that there is; NaNs become one', () => {
    const values = fromF16(every);
    const again = toF16(values);
    for (const [i, value] of values.entries()) expect(again[i]).toBe(Number.isNaN(value) ? (i & 0x8000) | 0x7e00 : i);
  });

  it('takes the nearest', () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true }), (value) => {
        const [got] = fromF16(toF16(Float32Array.of(value)));
        const at = ladder.findIndex((half) => half >= value);
        const near = [ladder[Math.max(0, at - 1)], ladder[at]].map((half) => Math.abs(half - value));
        expect(Math.abs(got - value)).toBe(Math.min(...near));
      }),
    );
  });

  // IEEE 754: a half has 10 bits of fraction, steps of 2^-24 below 2^-14, and 65504 as its largest.
  it('rounds halves to even, and what is too large to infinity', () => {
    const got = toF16(Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519.99, 65520, 2 ** -25, 1.5 * 2 ** -24, -1e9));
    expect([...got]).toEqual([0x3c00, 0x3c02, 0x7bff, 0x7c00, 0x0000, 0x0002, 0xfc00]);
  });
});
