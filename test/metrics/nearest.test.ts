import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { nearestObject } from '../../src/metrics/nearest.js';
import type { Size } from '../../src/records.js';
import { ascii } from '../ascii.js';

describe('nearestObject', () => {
  it.each([
    ['one pixel', '... .#. ...', [2, 1, 2, 1, 0, 1, 2, 1, 2], [4, 4, 4, 4, 4, 4, 4, 4, 4]],
    ['the left of two', '#.#', [0, 1, 0], [0, 0, 2]],
    ['the upper of two', '# . #', [0, 1, 0], [0, 0, 2]],
    ['left before upper', '.# #.', [1, 0, 0, 1], [2, 1, 2, 2]],
  ])('%s', (_, drawing, squared, index) => {
    const { bits, ...size } = ascii(drawing);
    const nearest = everyRow(bits, size);
    expect(nearest.squared).toEqual(squared);
    expect(nearest.index).toEqual(index);
  });

  it('finds what a search of every pixel finds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.uint8Array({ minLength: 24, maxLength: 96, max: 9 }),
        (width, cells) => {
          const height = Math.floor(cells.length / width);
          const truth = cells.slice(0, width * height).map((cell, i) => (cell === 0 || i === 7 ? 1 : 0));
          const { index, squared } = everyRow(truth, { width, height });
          for (let i = 0; i < truth.length; i++) {
            expect(truth[index[i]]).toBe(1);
            expect(squared[i]).toBe(apart(i, index[i], width));
            expect(squared[i]).toBe(
              Math.min(...[...truth.keys()].filter((j) => truth[j] === 1).map((j) => apart(i, j, width))),
            );
          }
        },
      ),
    );
  });
});

function everyRow(truth: Uint8Array, size: Size): { index: number[]; squared: number[] } {
  const row = nearestObject(truth, size);
  const rows = Array.from({ length: size.height }, (_, y) => ({
    index: [...row(y).index],
    squared: [...row(y).squared],
  }));
  return { index: rows.flatMap(({ index }) => index), squared: rows.flatMap(({ squared }) => squared) };
}

function apart(a: number, b: number, width: number): number {
  return ((a % width) - (b % width)) ** 2 + (Math.floor(a / width) - Math.floor(b / width)) ** 2;
}
