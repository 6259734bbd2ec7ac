import { describe, expect, it } from 'vitest';

import { bestConstant, constantBook, constantPrompts } from '../../../src/operators/scoring/constants.js';

const boxesOf = (width: number, height: number) =>
  constantPrompts({ width, height }).map(({ objects }) => objects[0]?.box);

describe('constantPrompts', () => {
  it('are boxes around the middle of a 112 px frame', () => {
    expect(boxesOf(112, 112)).toEqual([
      [4, 4, 107, 107],
      [16, 16, 95, 95],
      [28, 28, 83, 83],
      [36, 36, 75, 75],
    ]);
  });
  it('keep their share of another frame', () => {
    expect(boxesOf(224, 56)).toEqual([
      [8, 2, 215, 53],
      [32, 8, 191, 47],
      [56, 14, 167, 41],
      [72, 18, 151, 37],
    ]);
  });
  it('click on the centre', () => {
    expect(constantPrompts({ width: 112, height: 64 }).map(({ objects }) => objects[0]?.points)).toEqual(
      Array(4).fill([{ x: 56, y: 32, label: 1 }]),
    );
  });
});

describe('constantBook', () => {
  it('averages each answer over the rows', () => {
    const book = constantBook();
    const frame = { width: 112, height: 112 };
    book.add(frame, [1, 0, 0, 0]);
    book.add(frame, [2, 0.5, 0, 0]);
    expect(book.rows).toBe(2);
    expect(book.constants()[0]).toEqual({ box: [4, 4, 107, 107], reward: { mean: 1.5, error: 0.5, n: 2 } });
    expect(bestConstant(book.constants())?.box).toEqual([4, 4, 107, 107]);
  });
  it('has none before the first row', () => {
    expect(constantBook().constants()).toEqual([]);
    expect(bestConstant([])).toBeUndefined();
  });
});
