import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { erode } from '../../src/metrics/erosion.js';
import { ascii } from '../ascii.js';

describe('erode', () => {
  it.each([
    ['a square', '..... .###. .###. .###. .....', 1, '..... ..... ..#.. ..... .....'],
    ['what touches the border', '### ### ###', 1, '... .#. ...'],
    ['by two', '##### ##### ##### ##### #####', 2, '..... ..... ..#.. ..... .....'],
    ['a map narrower than the window', '## ## ##', 1, '.. .. ..'],
  ])('%s', (_, drawing, reach, expected) => {
    const { bits, ...size } = ascii(drawing);
    expect([...erode(bits, size, reach)]).toEqual([...ascii(expected).bits]);
  });

  it('takes the least of each window of grey', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 11 }),
        fc.integer({ min: 1, max: 3 }),
        fc.uint8Array({ minLength: 11, maxLength: 120 }),
        (width, reach, cells) => {
          const height = Math.floor(cells.length / width);
          const at = (x: number, y: number): number =>
            x < 0 || y < 0 || x >= width || y >= height ? 0 : cells[y * width + x];
          const offsets = Array.from({ length: 2 * reach + 1 }, (_, k) => k - reach);
          const least = Uint8Array.from({ length: width * height }, (_, i) => {
            return Math.min(
              ...offsets.flatMap((dy) => offsets.map((dx) => at((i % width) + dx, Math.floor(i / width) + dy))),
            );
          });
          expect(erode(cells.slice(0, width * height), { width, height }, reach)).toEqual(least);
        },
      ),
    );
  });
});
