import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { maskArea, toCocoString } from '../../src/io/mask.js';
import { maskOfPolygon } from '../../src/io/polygon-coco.js';
import { polygons } from '../polygons.js';

const size = { width: 20, height: 12 };

describe('maskOfPolygon', () => {
  it('agrees with pycocotools on random polygons', () => {
    const apart = polygons.filter(
      ({ size: [height, width], points, coco }) =>
        toCocoString(maskOfPolygon(points.flat(), { width, height })) !== coco,
    );
    expect(polygons.length).toBeGreaterThan(100);
    expect(apart).toEqual([]);
  });

  it('fills a square of whole pixels, its right and lower edge left out', () => {
    expect(maskArea(maskOfPolygon([2, 3, 7, 3, 7, 9, 2, 9], size))).toBe(5 * 6);
  });

  it('does not care where the outline starts or turns', () => {
    const outline = [2.5, 1, 17, 4, 9, 11, 1, 8];
    const backwards = [0, 1, 2, 3].flatMap((i) => outline.slice(6 - 2 * i, 8 - 2 * i));
    const later = [...outline.slice(4), ...outline.slice(0, 4)];
    expect(toCocoString(maskOfPolygon(later, size))).toBe(toCocoString(maskOfPolygon(outline, size)));
    expect(maskOfPolygon(backwards, size)).toEqual(maskOfPolygon(outline, size));
  });

  it.each([
    ['two points', [1, 1, 5, 5], 'at least 3 points; got 4 numbers'],
    ['an odd number of coordinates', [1, 1, 5, 5, 9, 1, 3], 'got 7 numbers'],
    ['what is no number', [1, 1, 5, NaN, 9, 1], 'within 100000 px; got NaN'],
    ['what is too far off', [1, 1, 5, 5, 1e12, 1], 'within 100000 px; got 1000000000000'],
  ])('refuses %s', (_, flat, message) => {
    expect(() => maskOfPolygon(flat, size)).toThrow(DataError);
    expect(() => maskOfPolygon(flat, size)).toThrow(message);
  });
});
