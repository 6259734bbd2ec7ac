import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  difference,
  grown,
  has,
  intersection,
  inverted,
  packed,
  remove,
  shrunk,
  union,
  unpacked,
} from '../../src/metrics/bitmap.js';
import { ascii } from '../ascii.js';

// Rows of one, two and three words, and words filled to the last bit.
const sizes = fc.record({
  width: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(32, 64)),
  height: fc.integer({ min: 1, max: 4 }),
});
const pairs = sizes.chain(({ width, height }) => {
  const bits = fc.uint8Array({ minLength: width * height, maxLength: width * height, max: 1 });
  return fc.record({ size: fc.constant({ width, height }), a: bits, b: bits });
});

describe('bitmap', () => {
  it('is unpacked as it was packed', () => {
    fc.assert(
      fc.property(pairs, ({ size, a }) => {
        expect(unpacked(packed(a, size))).toEqual(a);
      }),
    );
  });

  it('is set arithmetic pixel by pixel', () => {
    fc.assert(
      fc.property(pairs, ({ size, a, b }) => {
        const [left, right] = [packed(a, size), packed(b, size)];
        expect(unpacked(union(left, right))).toEqual(a.map((bit, i) => bit | b[i]));
        expect(unpacked(intersection(left, right))).toEqual(a.map((bit, i) => bit & b[i]));
        expect(unpacked(difference(left, right))).toEqual(a.map((bit, i) => bit & (1 - b[i])));
        expect(inverted(left)).toEqual(
          packed(
            a.map((bit) => 1 - bit),
            size,
          ),
        );
      }),
    );
  });

  it('has the pixels that it was given, until they are removed', () => {
    fc.assert(
      fc.property(pairs, ({ size, a }) => {
        const map = packed(a, size);
        a.forEach((bit, i) => {
          expect(has(map, i)).toBe(bit === 1);
          remove(map, i);
        });
        expect(map.words.every((word) => word === 0)).toBe(true);
      }),
    );
  });

  it.each([
    ['a pixel', '..... ..#.. .....', '..#.. .###. ..#..'],
    ['a corner', '#.. ... ...', '##. #.. ...'],
  ])('grows %s along the axes', (_, drawing, expected) => {
    const { bits, ...size } = ascii(drawing);
    expect(unpacked(grown(packed(bits, size)))).toEqual(ascii(expected).bits);
  });

  it('grows to what lies beside a one, and shrinks to what lies beside no zero', () => {
    fc.assert(
      fc.property(pairs, ({ size, a }) => {
        const beside = (i: number): number[] => {
          const [x, y] = [i % size.width, Math.floor(i / size.width)];
          return [
            x > 0 ? a[i - 1] : a[i],
            x < size.width - 1 ? a[i + 1] : a[i],
            y > 0 ? a[i - size.width] : a[i],
            y < size.height - 1 ? a[i + size.width] : a[i],
            a[i],
          ];
        };
        expect(grown(packed(a, size))).toEqual(
          packed(
            a.map((_, i) => Math.max(...beside(i))),
            size,
          ),
        );
        expect(shrunk(packed(a, size))).toEqual(
          packed(
            a.map((_, i) => Math.min(...beside(i))),
            size,
          ),
        );
      }),
    );
  });

  it('may be empty', () => {
    expect(unpacked(shrunk(packed(new Uint8Array(0), { width: 0, height: 3 })))).toHaveLength(0);
  });
});
