import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { contours } from '../../src/metrics/contours.js';
import { correctionEffort } from '../../src/metrics/correction-effort.js';
import { parts } from '../../src/metrics/parts.js';
import { pointsLeft } from '../../src/metrics/polyline.js';
import { skeleton } from '../../src/metrics/skeleton.js';
import { ascii } from '../ascii.js';

const maps = fc.integer({ min: 1, max: 9 }).chain((width) =>
  fc.integer({ min: 1, max: 9 }).chain((height) => {
    return fc
      .uint8Array({ minLength: width * height, maxLength: width * height, max: 1 })
      .map((bits) => ({ width, height, bits }));
  }),
);

describe('correctionEffort', () => {
  it('costs nothing where nothing is wrong', () => {
    fc.assert(
      fc.property(maps, ({ bits, ...size }) => {
        expect(correctionEffort(bits, bits, size)).toBe(0);
      }),
    );
  });

  it('is one click for a region that stands alone', () => {
    const { bits, ...size } = ascii('#'.repeat(12).concat(' ').repeat(12));
    expect(
      correctionEffort(
        bits,
        bits.map(() => 0),
        size,
      ),
    ).toBe(1);
  });

  it('refuses maps that do not fill the size', () => {
    expect(() => correctionEffort(new Uint8Array(4), new Uint8Array(4), { width: 3, height: 2 })).toThrow(
      'correction effort: expected 3x2 = 6 values; got 4 and 4',
    );
  });
});

describe('skeleton', () => {
  it('thins a bar to one part without a square of four', () => {
    const { bits, ...size } = ascii('......... .#######. .#######. .#######. .........');
    const thin = skeleton(bits, size);
    expect(Math.max(...parts(thin, size))).toBe(1);
    expect(thin.some((t, i) => t === 1 && thin[i + 1] === 1 && thin[i + 9] === 1 && thin[i + 10] === 1)).toBe(false);
  });

  it('stays within the bitmap and thins no further', () => {
    fc.assert(
      fc.property(maps, ({ bits, ...size }) => {
        const thin = skeleton(bits, size);
        expect(thin.every((t, i) => t <= bits[i])).toBe(true);
        expect(skeleton(thin, size)).toEqual(thin);
      }),
    );
  });
});

describe('contours', () => {
  it.each([
    ['a pixel', '... .#. ...', [[4]]],
    ['a square, from its first pixel down', '## ##', [[0, 2, 3, 1]]],
    ['a line, there and back', '###', [[0, 1, 2, 1]]],
    [
      'a ring, its hole after it',
      '### #.# ###',
      [
        [0, 3, 6, 7, 8, 5, 2, 1],
        [3, 1, 5, 7],
      ],
    ],
    ['of two, the one found last first', '#.#', [[2], [0]]],
  ])('%s', (_, drawing, expected) => {
    const { bits, ...size } = ascii(drawing);
    expect(contours(bits, size).map(({ points }) => points)).toEqual(expected);
  });

  it('numbers them by the part they bound', () => {
    fc.assert(
      fc.property(maps, ({ bits, ...size }) => {
        const labels = parts(bits, size);
        const found = contours(bits, size);
        expect(new Set(found.map(({ part }) => part)).size).toBe(Math.max(0, ...labels));
        const labelOf = new Map(found.map(({ part, points }) => [part, labels[points[0]]]));
        for (const { part, points } of found) for (const i of points) expect(labels[i]).toBe(labelOf.get(part));
      }),
    );
  });

  it('visits every pixel beside a zero, and none outside', () => {
    fc.assert(
      fc.property(maps, ({ bits, ...size }) => {
        const visited = new Set(contours(bits, size).flatMap(({ points }) => points));
        const at = (x: number, y: number): number =>
          x < 0 || y < 0 || x >= size.width || y >= size.height ? 0 : bits[y * size.width + x];
        bits.forEach((bit, i) => {
          const [x, y] = [i % size.width, Math.floor(i / size.width)];
          const edge = bit === 1 && at(x - 1, y) * at(x + 1, y) * at(x, y - 1) * at(x, y + 1) === 0;
          if (bit === 0 || edge) expect(visited.has(i)).toBe(edge);
        });
      }),
    );
  });
});

describe('parts', () => {
  it('joins corners', () => {
    const { bits, ...size } = ascii('#..# .#.# ....');
    expect([...parts(bits, size)]).toEqual([1, 0, 0, 2, 0, 1, 0, 2, 0, 0, 0, 0]);
  });
});

describe('pointsLeft', () => {
  it.each([
    ['a point', [[3, 4]], 1],
    [
      'a straight line',
      [
        [0, 0],
        [1, 0],
        [2, 0],
        [3, 0],
      ],
      2,
    ],
    [
      'a corner',
      [
        [0, 0],
        [5, 0],
        [5, 5],
      ],
      3,
    ],
    [
      'a corner within the tolerance',
      [
        [0, 0],
        [2, 1],
        [4, 0],
      ],
      2,
    ],
  ] as const)('%s', (_, line, expected) => expect(pointsLeft(line, 2)).toBe(expected));
});
