import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import {
  decodeMask,
  emptyMask,
  encodeMask,
  intersectionArea,
  maskArea,
  subtractMask,
  unionMasks,
} from '../../src/io/mask.js';
import { stretchMask } from '../../src/io/mask-stretch.js';
import { ascii } from '../ascii.js';

const pair = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })).chain(([width, height]) => {
  const bits = fc.uint8Array({ min: 0, max: 1, minLength: width * height, maxLength: width * height });
  return fc.record({ a: bits, b: bits, size: fc.constant({ width, height }) });
});

describe('masks as sets of pixels', () => {
  it('agree with bitmaps, and are written in one way', () => {
    fc.assert(
      fc.property(pair, ({ a, b, size }) => {
        const [first, second] = [encodeMask(a, size), encodeMask(b, size)];
        expect(subtractMask(first, second)).toEqual(
          encodeMask(
            a.map((bit, i) => bit & (1 - b[i])),
            size,
          ),
        );
        expect(unionMasks([first, second])).toEqual(
          encodeMask(
            a.map((bit, i) => bit | b[i]),
            size,
          ),
        );
        expect(maskArea(subtractMask(first, second)) + intersectionArea(first, second)).toBe(maskArea(first));
      }),
    );
  });

  it('refuse another size', () => {
    expect(() => subtractMask(emptyMask({ width: 2, height: 2 }), emptyMask({ width: 2, height: 3 }))).toThrow(
      DataError,
    );
  });
});

describe('stretchMask', () => {
  const { bits, width, height } = ascii('##.. ##..');
  const mask = encodeMask(bits, { width, height });

  it('doubles and halves whole pixels', () => {
    const large = stretchMask(mask, { width: 8, height: 4 });
    expect([...decodeMask(large).subarray(0, 8)]).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
    expect(stretchMask(large, mask)).toEqual(mask);
    expect(stretchMask(mask, { width, height })).toBe(mask);
  });

  it('a pixel that is just half covered is level 128: a truth has it, an answer has not', () => {
    const half = encodeMask(Uint8Array.of(1, 0), { width: 2, height: 1 });
    expect(
      [127, 128].map((threshold) => maskArea(stretchMask(half, { width: 1, height: 1 }, threshold as 127 | 128))),
    ).toEqual([1, 0]);
  });
});
