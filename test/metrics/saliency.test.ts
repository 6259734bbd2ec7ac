import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { saliency, type SaliencyValue } from '../../src/metrics/saliency.js';
import { overSet } from '../../src/metrics/saliency-set.js';
import type { Size } from '../../src/records.js';
import { ascii } from '../ascii.js';

const small = { width: 48, height: 64 };
const large = { width: 768, height: 768 };
const wanted = drawn(small, (x, y) => (x - 20) ** 2 + (y - 30) ** 2 <= 225);
const shifted = drawn(small, (x, y) => (x - 24) ** 2 + (y - 28) ** 2 <= 196);
const empty = new Uint8Array(48 * 64);
const rectangle = (y1: number, y2: number, x1: number, x2: number): Uint8Array =>
  drawn(large, (x, y) => y >= y1 && y <= y2 && x >= x1 && x <= x2);

const columns = [
  'iou/binary',
  'structure',
  'mae',
  'fMeasure/adaptive',
  'fMeasure/mean',
  'fMeasure/max',
  'eMeasure/adaptive',
  'eMeasure/mean',
  'eMeasure/max',
  'weightedF',
  'boundaryAccuracy',
  'boundaryIou/mean',
  'boundaryIou/max',
] as const satisfies readonly SaliencyValue[];

describe('saliency', () => {
  // Seg-R1's own metrics file, executed on these drawings.
  it.each([
    [
      'A',
      rectangle(210, 519, 240, 579),
      rectangle(200, 499, 250, 599),
      large,
      '.834350 .902519 .032213 .908766 .906074 .908766 .970543 .967728 .970543 .886638 .501246 .201983 .202598',
    ],
    [
      'B',
      shifted,
      wanted,
      small,
      '.664987 .789261 .086589 .831295 .829144 .831295 .911215 .908632 .911215 .816319 .534884 .109798 .109948',
    ],
    [
      'C, nothing predicted',
      empty,
      wanted,
      small,
      '0 .384603 .230794 .280604 .001096 .280604 .250081 .250081 .250081 0 .511628 .000280 .071615',
    ],
    [
      'D, everything predicted',
      empty.map(() => 1),
      wanted,
      small,
      '.230794 .115397 .769206 .280604 .280604 .280604 .250081 .250081 .250081 .262595 .488372 .000280 .071615',
    ],
    ['E, the truth predicted', wanted, wanted, small, '1 1 0 1 .997190 1 1.000326 .997395 1.000326 1 1 .996373 1'],
    ['F, nothing to predict', shifted, empty, small, '0 .800456 .199544 0 0 0 .800716 .797589 .800716 0 NaN 0 0'],
  ])('%s', (_, predicted, truth, size, row) => {
    const { values } = saliency(
      predicted.map((p) => 255 * p),
      truth,
      size,
    );
    expect(columns.map((name) => values[name].toFixed(6))).toEqual(
      row.split(' ').map((value) => Number(value).toFixed(6)),
    );
  });

  // As above.
  it('a soft map', () => {
    const levels = Uint8Array.from(wanted, (_, i) =>
      Math.floor(
        255 * Math.min(1, Math.max(0, (20 - Math.sqrt(((i % 48) - 24) ** 2 + (Math.floor(i / 48) - 28) ** 2)) / 12)),
      ),
    );
    const { values } = saliency(levels, wanted, small);
    const row = '.831367 .113978 .813125 .766422 .845178 .917459 .808905 .917465 .722353';
    expect(columns.slice(1, 10).map((name) => values[name].toFixed(6))).toEqual(
      row.split(' ').map((value) => Number(value).toFixed(6)),
    );
  });

  it('keeps a map of one level, and stretches any other', () => {
    const { bits, ...size } = ascii('##.. ##..');
    expect(
      saliency(
        bits.map(() => 51),
        bits,
        size,
      ).values,
    ).toMatchObject({ mae: 0.5, mse: (0.2 ** 2 + 0.8 ** 2) / 2 });
    expect(
      saliency(
        bits.map((b) => 60 + b),
        bits,
        size,
      ).values,
    ).toMatchObject({ mae: 0, mse: 0, weightedF: expect.closeTo(1, 12), 'ber/binary': 0 });
  });

  it('counts an empty map as all object at its own threshold, as nothing at one half', () => {
    const { bits, ...size } = ascii('#... ....');
    const { values } = saliency(
      bits.map(() => 0),
      bits,
      size,
    );
    expect(values).toMatchObject({
      'precision/adaptive': 1 / 8,
      'recall/adaptive': 1,
      'recall/binary': 0,
      'dice/binary': 0,
      'ber/binary': 0.5,
    });
  });

  it('is within 0 and 1, save for E, which may pass it by a pixel', () => {
    fc.assert(
      fc.property(pairs(), ({ size, predicted, truth }) => {
        const { values, curves } = saliency(predicted, truth, size);
        const pixels = size.width * size.height;
        const unscored = Object.entries(values)
          .filter(([, value]) => Number.isNaN(value))
          .map(([name]) => name);
        expect(unscored).toEqual(new Set(truth).size === 1 ? ['boundaryAccuracy'] : []);
        for (const [name, value] of Object.entries(values)) {
          if (Number.isNaN(value)) continue;
          const highest = name.startsWith('eMeasure') ? pixels / (pixels - 1) : 1;
          expect(value).toBeGreaterThanOrEqual(-1e-12);
          expect(value).toBeLessThanOrEqual(highest + 1e-9);
        }
        for (let i = 1; i < 256; i++) expect(curves.recall[i]).toBeGreaterThanOrEqual(curves.recall[i - 1]);
      }),
    );
  });

  it('refuses maps that do not fill the size, and no pixel at all', () => {
    expect(() => saliency(empty, empty, { width: 48, height: 63 })).toThrow(
      'saliency: expected 48x63 = 3024 values, at least 1; got 3072 and 3072',
    );
    expect(() => saliency(new Uint8Array(0), new Uint8Array(0), { width: 0, height: 4 })).toThrow(
      'at least 1; got 0 and 0',
    );
  });
});

describe('overSet', () => {
  const [b, f] = [
    saliency(
      shifted.map((p) => 255 * p),
      wanted,
      small,
    ),
    saliency(
      shifted.map((p) => 255 * p),
      empty,
      small,
    ),
  ];

  it('takes the highest of the mean curve, not the mean of the highest', () => {
    const soft = (at: number): Uint8Array => Uint8Array.of(255, at, 0, 0);
    const truth = Uint8Array.of(1, 1, 0, 0);
    const wrong = Uint8Array.of(1, 0, 0, 0);
    const [one, other] = [
      saliency(soft(50), truth, { width: 4, height: 1 }),
      saliency(soft(50), wrong, { width: 4, height: 1 }),
    ];
    expect([one.values['iou/max'], other.values['iou/max']]).toEqual([1, 1]);
    expect(overSet([one, other]).values['iou/max']).toBe(0.75);
  });

  it('leaves out what could not be scored', () => {
    expect(overSet([b, f]).values.boundaryAccuracy).toBe(b.values.boundaryAccuracy);
    expect(overSet([f]).values.boundaryAccuracy).toBeNaN();
    expect(overSet([b, f]).values.mae).toBeCloseTo((b.values.mae + f.values.mae) / 2, 12);
  });

  it('refuses a set without images', () => {
    expect(() => overSet([])).toThrow('expected at least 1 image; got 0');
  });
});

function pairs(): fc.Arbitrary<{ size: Size; predicted: Uint8Array; truth: Uint8Array }> {
  return fc.tuple(fc.integer({ min: 2, max: 9 }), fc.integer({ min: 1, max: 9 })).chain(([width, height]) => {
    const exactly = { minLength: width * height, maxLength: width * height };
    return fc.record({
      size: fc.constant({ width, height }),
      predicted: fc.uint8Array(exactly),
      truth: fc.uint8Array({ ...exactly, max: 1 }),
    });
  });
}

function drawn(size: Size, inside: (x: number, y: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: size.width * size.height }, (_, i) =>
    inside(i % size.width, Math.floor(i / size.width)) ? 1 : 0,
  );
}
