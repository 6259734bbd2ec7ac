import { describe, expect, it } from 'vitest';

import { fromBf16, fromF16, toBf16, toF16 } from '../../src/io/half.js';

const every = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits);

describe.each([
  ['bfloat16', fromBf16, toBf16, 0x7f80],
  ['float16', fromF16, toF16, 0x7c00],
] as const)('%s', (_, widen, round, infinity) => {
  it('comes back from float32 bit by bit, NaN as one of the same sign', () => {
    const values = new Float32Array(every.length);
    widen(every, values);
    const back = round(values);
    for (const bits of every) {
      if ((bits & 0x7fff) > infinity) expect(back[bits] & 0x7fff, `NaN ${bits}`).toBeGreaterThan(infinity);
      else expect(back[bits]).toBe(bits);
    }
  });

  it('is widened in place out of the second half of its room', () => {
    const [apart, room] = [new Float32Array(every.length), new Float32Array(every.length)];
    widen(every, apart);
    const bits = new Uint16Array(room.buffer, 2 * every.length);
    bits.set(every);
    widen(bits, room);
    expect(Buffer.compare(Buffer.from(room.buffer), Buffer.from(apart.buffer))).toBe(0);
  });
});

describe('toF16', () => {
  // numpy: np.array([…], np.float32).astype(np.float16).view(np.uint16)
  it.each([
    [65519.996, 0x7bff],
    [65520, 0x7c00],
    [-1e9, 0xfc00],
    [2 ** -25, 0],
    [3 * 2 ** -25, 2],
    [5 * 2 ** -25, 2],
    [2 ** -14 - 2 ** -26, 0x400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [0.1, 0x2e66],
    [-1e-9, 0x8000],
  ])('of %d is as numpy has it', (value, bits) => expect([...toF16(Float32Array.of(value))]).toEqual([bits]));
});
