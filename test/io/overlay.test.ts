import { describe, expect, it } from 'vitest';

import { decodeImage } from '../../src/io/image.js';
import { encodeMask } from '../../src/io/mask.js';
import { drawMarks, FIGURE_INK, overlay, panels } from '../../src/io/overlay.js';
import type { Image, Mask } from '../../src/records.js';
import { ascii } from '../ascii.js';

const black = (width: number, height: number): Image => ({ width, height, data: new Uint8Array(width * height * 3) });
const masked = (drawing: string): Mask => encodeMask(ascii(drawing).bits, ascii(drawing));

/** One letter a pixel: `.` black, `t` tinted, and the initials of blue, yellow, orange, green, red, white. */
function letters({ width, height, data }: Image): string[] {
  const names: Record<string, string> = {
    '0,0,0': '.',
    '30,120,255': 'b',
    '255,215,0': 'y',
    '255,140,0': 'o',
    '0,200,70': 'g',
    '230,30,40': 'r',
    '255,255,255': 'w',
    '11,42,89': 't',
  };
  return Array.from({ length: height }, (_, y) =>
    Array.from(
      { length: width },
      (_unused, x) => names[[...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)].join()] ?? '?',
    ).join(''),
  );
}

describe('drawMarks', () => {
  it('tints a mask and draws its edge', () => {
    expect(letters(drawMarks(black(5, 5), { mask: masked('..... .###. .###. .###. .....') }))).toEqual([
      '.....',
      '.bbb.',
      '.btb.',
      '.bbb.',
      '.....',
    ]);
  });

  it('draws a mask as the figures of Seg-R1 do where asked', () => {
    const { data } = drawMarks(black(5, 5), { mask: masked('..... .###. .###. .###. .....') }, FIGURE_INK);
    expect([[...data.subarray(18, 21)], [...data.subarray(36, 39)]]).toEqual([
      [0, 230, 255],
      [52, 21, 81],
    ]); // the contour, and 0.35 of the fill
  });

  it('draws the truth over it, without tint', () => {
    expect(
      letters(drawMarks(black(4, 3), { mask: masked('##.. ##.. ....'), truth: masked('..#. .... ....') })),
    ).toEqual(['bby.', 'bb..', '....']);
  });

  it('stretches a mask to the image', () => {
    expect(letters(drawMarks(black(4, 2), { mask: masked('#.') }))).toEqual(['bb..', 'bb..']);
  });

  it('puts boxes and points where their frame says, corners in any order', () => {
    const box = { frame: { width: 10, height: 10 }, objects: [{ box: [7, 5, 2, 1] as const, points: [] }] };
    expect(letters(drawMarks(black(5, 5), { prompt: box }))).toEqual(['.ooo.', '.o.o.', '.ooo.', '.....', '.....']);

    const points = {
      frame: { width: 16, height: 8 },
      objects: [
        {
          points: [
            { x: 3, y: 3, label: 1 as const },
            { x: 12, y: 3, label: 0 as const },
          ],
        },
      ],
    };
    const got = letters(drawMarks(black(16, 8), { prompt: points }));
    expect(got[3]).toBe('wgggggw..wrrrrrw');
    expect(got[0]).toBe('...w........w...');
  });

  it('leaves out what lies off the image, and the image itself alone', () => {
    const image = black(4, 4);
    const prompt = {
      frame: image,
      objects: [{ box: [-1e9, 2, 1e9, 1e9] as const, points: [{ x: 1e9, y: -5, label: 1 as const }] }],
    };
    expect(letters(drawMarks(image, { prompt }))).toEqual(['....', '....', 'oooo', '....']);
    expect(letters(image).join('')).toBe('.'.repeat(16));
  });
});

describe('overlay', () => {
  it('is the PNG of drawMarks', async () => {
    const marks = { mask: masked('#.. .#. ..#') };
    expect(await decodeImage(await overlay(black(3, 3), marks), 'overlay')).toEqual(drawMarks(black(3, 3), marks));
  });
});

describe('panels', () => {
  it('stand side by side with a gap', () => {
    expect(letters(panels([black(2, 2), black(1, 2)], 1))).toEqual(['..w.', '..w.']);
    expect(panels([black(2, 2), black(3, 2)])).toMatchObject({ width: 9, height: 2 });
  });

  it('refuse images of two heights', () => {
    expect(() => panels([black(2, 2), black(2, 3)])).toThrow(
      'panels  height: expected 2 pixels as in the first; got 3',
    );
  });
});
