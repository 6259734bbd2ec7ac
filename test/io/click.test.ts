import { describe, expect, it } from 'vitest';

import { clickCentre, squaredDistance } from '../../src/io/click.js';

/** '#' is set; rows are separated by spaces. */
function drawn(picture: string): [Uint8Array, { width: number; height: number }] {
  const rows = picture.split(' ');
  return [
    Uint8Array.from(rows.join(''), (mark) => (mark === '#' ? 1 : 0)),
    { width: rows[0].length, height: rows.length },
  ];
}

describe('clickCentre', () => {
  it.each([
    ['nothing', '... ...', undefined],
    ['one pixel', '... .#.', { x: 1, y: 1, area: 1 }],
    ['the middle of a square', '..... .###. .###. .###. .....', { x: 2, y: 2, area: 9 }],
    ['the larger of two parts', '##.... ##..## ....## ....##', { x: 4, y: 1, area: 6 }],
    ['parts that touch at corners only stay apart', '#... .##. .##.', { x: 1, y: 1, area: 4 }],
    ['a full picture, whose border counts as outside', '##### ##### #####', { x: 1, y: 1, area: 15 }],
    ['the first of equals in reading order', '##', { x: 0, y: 0, area: 2 }],
    ['a ring is clicked on the ring', '##### #...# #...# #...# #####', { x: 0, y: 0, area: 16 }],
    ['no wrap from one row to the next', '..## ##..', { x: 2, y: 0, area: 2 }],
  ])('%s', (_, picture, expected) => {
    expect(clickCentre(...drawn(picture))).toEqual(expected);
  });
});

describe('squaredDistance', () => {
  it('is the exact Euclidean distance, as counting every pair gives it', () => {
    const [width, height] = [13, 9];
    const bits = Uint8Array.from({ length: width * height }, (_, i) => ((i * 2654435761) >>> 28 > 2 ? 1 : 0));
    const unset = [...bits.keys()].filter((i) => !bits[i]);
    const slow = Array.from(bits, (bit, i) =>
      bit
        ? Math.min(
            ...unset.map(
              (j) => ((i % width) - (j % width)) ** 2 + (Math.floor(i / width) - Math.floor(j / width)) ** 2,
            ),
          )
        : 0,
    );
    expect([...squaredDistance(bits, { width, height })]).toEqual(slow);
  });
});
