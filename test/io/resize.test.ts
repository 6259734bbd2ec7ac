import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readImageFile, toGray } from '../../src/io/image.js';
import { resize, resizeGray, type Filter } from '../../src/io/resize.js';
import type { Image, Size } from '../../src/records.js';
import { goldenFolder } from '../golden/golden.js';

const policy = join(goldenFolder(), 'policy');
const stretched = join(policy, 'processor/stretch');
const pictures = existsSync(stretched) ? readdirSync(stretched).filter((name) => name.endsWith('.png')) : [];

describe.runIf(pictures.length > 0)('resize equals Pillow bit for bit', () => {
  it.each(pictures)('%s', async (name) => {
    const [, drawing, side, mask = ''] = /^(.+?)-(\d+)(-mask)?\.png$/.exec(name) as unknown as [
      string,
      string,
      string,
      string?,
    ];
    const [source, expected] = await Promise.all([
      readImageFile(join(policy, 'images', `${drawing}${mask}.png`)),
      readImageFile(join(stretched, name)),
    ]);
    const to = { width: Number(side), height: Number(side) };
    const got = mask ? resizeGray(toGray(source), source, to) : resize(source, to).data;
    expect(Buffer.compare(got, mask ? toGray(expected) : expected.data)).toBe(0);
  });
});

describe('resize', () => {
  const sizes = fc.record({ width: fc.integer({ min: 1, max: 24 }), height: fc.integer({ min: 1, max: 24 }) });
  const filters = fc.constantFrom<Filter>('bilinear', 'bicubic');

  it('keeps an image of one colour', () => {
    fc.assert(
      fc.property(sizes, sizes, filters, fc.integer({ min: 0, max: 255 }), (from, to, filter, level) => {
        const got = resizeGray(new Uint8Array(from.width * from.height).fill(level), from, to, filter);
        expect(got).toEqual(new Uint8Array(to.width * to.height).fill(level));
      }),
    );
  });

  it('treats each channel as a gray picture', () => {
    fc.assert(
      fc.property(
        sizes,
        sizes,
        filters,
        fc.constantFrom('pillow' as const, 'horizontal-first' as const),
        (from, to, filter, order) => {
          const image = noise(from);
          const rgb = resize(image, to, filter, order);
          for (let c = 0; c < 3; c++)
            expect(channel(rgb, c)).toEqual(resizeGray(channel(image, c), from, to, filter, order));
        },
      ),
    );
  });

  it('equals the sum over its window, rounded once a pass', () => {
    // By hand, bilinear 4 -> 2: weights (5, 15, 9, 3) / 32 would reach over the edge; inside they are (3, 3, 1) / 7.
    expect([...resizeGray(Uint8Array.of(0, 70, 140, 210), { width: 4, height: 1 }, { width: 2, height: 1 })]).toEqual([
      50, 160,
    ]);
  });

  it('orders its passes as Pillow where one side grows and the other shrinks, and as torchvision where asked', () => {
    const from = { width: 9, height: 30 };
    const to = { width: 40, height: 7 };
    const image = noise(from);
    const vertical = resize(resize(image, { width: 9, height: 7 }, 'bicubic'), to, 'bicubic');
    const horizontal = resize(resize(image, { width: 40, height: 30 }, 'bicubic'), to, 'bicubic');
    expect(resize(image, to, 'bicubic')).toEqual(vertical);
    expect(resize(image, to, 'bicubic', 'horizontal-first')).toEqual(horizontal);
    expect(vertical).not.toEqual(horizontal);
    expect(resize(noise(to), from, 'bicubic')).toEqual(resize(noise(to), from, 'bicubic', 'horizontal-first'));
  });

  it('rounds as torchvision does with bytes where asked', () => {
    // torchvision 0.24.1, tvF.resize(x, [3, 10], antialias=True) of x = arange(84) * 37 % 251 as [3, 4, 7].
    const image = {
      width: 7,
      height: 4,
      data: Uint8Array.from({ length: 84 }, (_, i) => (((i % 3) * 28 + Math.floor(i / 3)) * 37) % 251),
    };
    expect([...resize(image, { width: 10, height: 3 }, 'bilinear', 'torchvision').data]).toEqual(TORCHVISION);
  });

  it('refuses a side of 0 and pixels that do not fill their size', () => {
    expect(() => resize(noise({ width: 2, height: 2 }), { width: 0, height: 3 })).toThrow(
      'resize: expected sides of at least 1; got 0x3',
    );
    expect(() => resizeGray(new Uint8Array(3), { width: 2, height: 2 }, { width: 1, height: 1 })).toThrow(
      'resize: expected 4 bytes for 2x2; got 3',
    );
  });
});

const TORCHVISION = [
  2, 34, 66, 22, 54, 86, 48, 80, 112, 74, 106, 138, 100, 132, 164, 126, 158, 190, 152, 184, 213, 178, 210, 186, 204,
  123, 114, 224, 5, 37, 12, 44, 76, 32, 64, 96, 58, 90, 122, 84, 116, 148, 110, 142, 174, 136, 168, 200, 162, 194, 213,
  188, 220, 64, 214, 133, 27, 234, 15, 47, 22, 54, 86, 42, 74, 106, 68, 100, 132, 94, 126, 158, 120, 152, 184, 146, 178,
  210, 172, 204, 223, 198, 230, 74, 224, 143, 37, 244, 25, 57,
];

function noise({ width, height }: Size): Image {
  return {
    width,
    height,
    data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (Math.imul(i + 1, 2654435761) >>> 13) & 255),
  };
}

function channel({ data }: Image, c: number): Uint8Array {
  return data.filter((_, i) => i % 3 === c);
}
