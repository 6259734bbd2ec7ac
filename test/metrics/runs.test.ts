import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { framed, runs } from '../../src/metrics/runs.js';
import { ascii } from '../ascii.js';

describe('runs', () => {
  it.each([
    ['none', '... ...', []],
    ['one that ends its row, one that starts the next', '.## #..', [7, 9, 11, 12]],
    ['two in a row', '#.#', [6, 7, 8, 9]],
  ])('%s', (_, drawing, expected) => {
    const { bits, ...size } = ascii(drawing);
    expect(runs(framed(bits, size))).toEqual(expected);
  });

  it('cover the ones and nothing else', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.uint8Array({ minLength: 9, maxLength: 80, max: 1 }),
        (width, cells) => {
          const height = Math.floor(cells.length / width);
          const map = framed(cells.slice(0, width * height), { width, height });
          const drawn = new Uint8Array(map.bits.length);
          const found = runs(map);
          for (let k = 0; k < found.length; k += 2) drawn.fill(1, found[k], found[k + 1]);
          expect(drawn).toEqual(map.bits);
        },
      ),
    );
  });
});
