import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { iou } from '../../src/metrics/iou.js';
import { structureMeasure, structureOfLevels } from '../../src/metrics/structure-measure.js';
import { ascii } from '../ascii.js';

const small = { width: 48, height: 64 };
const rectangle = (y1: number, y2: number, x1: number, x2: number): Uint8Array =>
  drawn({ width: 768, height: 768 }, (x, y) => y >= y1 && y <= y2 && x >= x1 && x <= x2);
const large = { truth: rectangle(200, 499, 250, 599), predicted: rectangle(210, 519, 240, 579) };
const truth = drawn(small, (x, y) => (x - 20) ** 2 + (y - 30) ** 2 <= 225);
const predicted = drawn(small, (x, y) => (x - 24) ** 2 + (y - 28) ** 2 <= 196);
const empty = new Uint8Array(48 * 64);

describe('structureMeasure', () => {
  // Seg-R1's own metrics file, executed on these drawings.
  it.each([
    ['A', large.predicted, large.truth, { width: 768, height: 768 }, '0.834350', '0.902519'],
    ['B', predicted, truth, small, '0.664987', '0.789261'],
    ['C, nothing predicted', empty, truth, small, '0.000000', '0.384603'],
    ['D, everything predicted', empty.map(() => 1), truth, small, '0.230794', '0.115397'],
    ['E, the truth predicted', truth, truth, small, '1.000000', '1.000000'],
    ['F, nothing to predict', predicted, empty, small, '0.000000', '0.800456'],
  ])('%s', (_, got, wanted, size, overlap, structure) => {
    expect(iou(got, wanted).toFixed(6)).toBe(overlap);
    expect(structureMeasure(got, wanted, size).toFixed(6)).toBe(structure);
    expect(structureMeasure(Float32Array.from(got), wanted, size).toFixed(6)).toBe(structure);
  });

  // As above; bytes of the map divided by 255.
  it('a soft map', () => {
    const levels = Float32Array.from({ length: 48 * 64 }, (_, i) => {
      const distance = Math.sqrt(((i % 48) - 24) ** 2 + (Math.floor(i / 48) - 28) ** 2);
      return Math.floor(255 * Math.min(1, Math.max(0, (20 - distance) / 12)));
    });
    expect(levels.reduce((a, b) => a + b, 0)).toBe(166147);
    expect(
      structureMeasure(
        levels.map((level) => level / 255),
        truth,
        small,
      ).toFixed(6),
    ).toBe('0.831367');
  });

  it.each([
    ['nothing in an empty truth', '.. ..', '.. ..', 1],
    ['everything in a full truth', '## ##', '## ##', 1],
    ['half of a full truth', '## ..', '## ##', 0.5],
    ['the corner pixel whose quadrant takes all', '... ..#', '... ..#', 1],
    ['one row', '.##.', '.##.', 1],
    ['one column', '. # #', '. # #', 1],
  ])('%s', (_, got, wanted, expected) => {
    const drawing = ascii(wanted);
    expect(structureMeasure(ascii(got).bits, drawing.bits, drawing)).toBeCloseTo(expected, 9);
  });

  it('is within 0 and 1, binary or soft, and never NaN', () => {
    const maps = fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: 7 })).chain(([width, height]) => {
      const exactly = { minLength: width * height, maxLength: width * height };
      return fc.record({
        size: fc.constant({ width, height }),
        truth: fc.uint8Array({ ...exactly, max: 1 }),
        binary: fc.uint8Array({ ...exactly, max: 1 }),
        soft: fc.float32Array({ ...exactly, min: 0, max: 1, noNaN: true }),
      });
    });
    fc.assert(
      fc.property(maps, ({ size, truth: wanted, binary, soft }) => {
        for (const map of [binary, soft]) {
          const value = structureMeasure(map, wanted, size);
          expect(value).toBeGreaterThanOrEqual(0);
          expect(value).toBeLessThanOrEqual(1 + 1e-9);
        }
        expect(structureMeasure(Float32Array.from(binary), wanted, size)).toBe(structureMeasure(binary, wanted, size));
        expect(structureMeasure(wanted, wanted, size)).toBeCloseTo(1, 6);
      }),
    );
  });

  it('is the same of grey levels as of what they stand for', () => {
    const maps = fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })).chain(([width, height]) => {
      const exactly = { minLength: width * height, maxLength: width * height };
      return fc.record({
        size: fc.constant({ width, height }),
        levels: fc.uint8Array(exactly),
        wanted: fc.uint8Array({ ...exactly, max: 1 }),
      });
    });
    const confidence = Float64Array.from({ length: 256 }, (_, level) => level / 255);
    fc.assert(
      fc.property(maps, ({ size, levels, wanted }) => {
        const soft = Float64Array.from(levels, (level) => confidence[level]);
        expect(structureOfLevels(levels, confidence, wanted, size)).toBeCloseTo(
          structureMeasure(soft, wanted, size),
          9,
        );
      }),
    );
  });

  it('refuses maps that do not fill the size', () => {
    expect(() => structureMeasure(empty, truth, { width: 48, height: 63 })).toThrow(
      'structure measure: expected 48x63 = 3024 values; got 3072 and 3072',
    );
  });
});

function drawn(size: { width: number; height: number }, inside: (x: number, y: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: size.width * size.height }, (_, i) =>
    inside(i % size.width, Math.floor(i / size.width)) ? 1 : 0,
  );
}
