import { createHash } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { cocoMask } from '../../src/io/coco-annotations.js';
import { maskArea, toCocoString } from '../../src/io/mask.js';
import { maskOfPolygon } from '../../src/io/polygon-coco.js';
import { farPolygons, polygons } from '../polygons.js';

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

  it('agrees with pycocotools on outlines that lead far away', () => {
    const apart = farPolygons.filter(
      ({ size: [width, height], flat, counts }) => toCocoString(maskOfPolygon(flat, { width, height })) !== counts,
    );
    expect(farPolygons).toHaveLength(100);
    expect(apart).toEqual([]);
  });

  it('draws as many far points as a file may hold, as pycocotools does in 12 s', () => {
    const flat = Array.from({ length: 500 }, (_, i) => [i % 2 ? 1e5 : -1e5, i % 3 ? 1e5 : -1e5]).flat();
    const counts = toCocoString(maskOfPolygon(flat, { width: 640, height: 480 }));
    // pycocotools 2.0.11: sha256(frPyObjects([flat], 480, 640)[0]["counts"])
    expect(createHash('sha256').update(counts).digest('hex')).toBe(
      '1558d6b28c8c0d8806e518f61090074ed73f8c5718cfb6e16c048112d20c0f76',
    );
  });

  it('is bounded where an outline passes every column too often', () => {
    const flat = Array.from({ length: 100_000 }, (_, i) => [i % 2 ? 1e5 : -1e5, i % 100]).flat();
    expect(() => maskOfPolygon(flat, { width: 640, height: 480 })).toThrow(
      'expected an outline that passes at most 50000000 columns; got 64000000',
    );
  });

  it('keeps every place once where there are more crossings than pixels', () => {
    const flat = Array.from({ length: 301 }, () => [-5, -1, 15, 10, -5, 10]).flat();
    const once = maskOfPolygon([-5, -1, 15, 10, -5, 10], { width: 10, height: 8 });
    expect(maskOfPolygon(flat, { width: 10, height: 8 })).toEqual(once);
    expect(maskArea(once)).toBeGreaterThan(10);
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

describe('cocoMask', () => {
  // pycocotools 2.0.11: frPyObjects gives two points, and one, no pixel.
  it.each([[[1, 1, 5, 5]], [[3, 3]], [[]]])('leaves out a part of too few points: %j', (part) => {
    const square = [2, 3, 7, 3, 7, 9, 2, 9];
    expect(cocoMask([square, part], size)).toEqual(maskOfPolygon(square, size));
    expect(cocoMask([part, square], size)).toEqual(maskOfPolygon(square, size));
    expect(() => cocoMask([part], size)).toThrow('at least 3 points');
  });

  it('refuses more pixels than a picture may have, in any form', () => {
    const large = { width: 1e6, height: 1e6 };
    for (const segmentation of [[[0, 0, 9, 0, 9, 9]], { size: [1e6, 1e6], counts: [1e12] }])
      expect(() => cocoMask(segmentation, large)).toThrow('expected at most 89478485 pixels; got 1000000x1000000');
  });

  it('unites ten thousand parts', () => {
    const parts = Array.from({ length: 10_000 }, (_, i) => [i % 400, 0, (i % 400) + 1, 0, (i % 400) + 1, 300]);
    expect(maskArea(cocoMask(parts, { width: 640, height: 480 }))).toBe(
      maskArea(cocoMask(parts.slice(0, 400), { width: 640, height: 480 })),
    );
  });
});
