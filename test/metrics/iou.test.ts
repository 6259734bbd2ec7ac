import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { iou } from '../../src/metrics/iou.js';
import { ascii } from '../ascii.js';

const bits = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length, max: 1 });

describe('iou', () => {
  it.each([
    ['apart', '##.. ....', '.... ..##', 0],
    ['sharing one of three', '##. ...', '.## ...', 1 / 3],
    ['the same', '.#. ##.', '.#. ##.', 1],
    ['prediction empty', '.. ..', '#. ..', 0],
    ['both empty', '.. ..', '.. ..', 0],
  ])('%s', (_, predicted, truth, expected) =>
    expect(iou(ascii(predicted).bits, ascii(truth).bits)).toBeCloseTo(expected, 12),
  );

  it('is symmetric and within 0 and 1', () => {
    fc.assert(
      fc.property(bits(12), bits(12), (a, b) => {
        expect(iou(a, b)).toBe(iou(b, a));
        expect(iou(a, b)).toBeGreaterThanOrEqual(0);
        expect(iou(a, b)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('refuses bitmaps of two lengths', () => {
    expect(() => iou(new Uint8Array(4), new Uint8Array(6))).toThrow('iou: expected bitmaps of one length; got 4 and 6');
  });
});
