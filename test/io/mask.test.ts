import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import {
  boxOfMask,
  decodeMask,
  emptyMask,
  encodeMask,
  fromCocoString,
  intersectionArea,
  maskArea,
  maskIou,
  readMaskFile,
  toCocoString,
  unionMasks,
  writeMaskPng,
} from '../../src/io/mask.js';
import type { Mask } from '../../src/records.js';
import { ascii } from '../ascii.js';
import { rawPng } from './png.js';

const masked = (drawing: string): Mask => encodeMask(ascii(drawing).bits, ascii(drawing));

const bitmaps = (count: number) =>
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })).chain(([width, height]) =>
    fc.record({
      size: fc.constant({ width, height }),
      bits: fc.array(fc.uint8Array({ minLength: width * height, maxLength: width * height, max: 1 }), {
        minLength: count,
        maxLength: count,
      }),
    }),
  );

describe('run lengths', () => {
  it.each([
    ['column by column, zeros first', '.#. ##.', [1, 3, 2]],
    ['a first pixel of foreground', '#. ..', [0, 1, 3]],
    ['empty', '... ...', [6]],
    ['full', '## ##', [0, 4]],
    ['one pixel', '#', [0, 1]],
  ])('%s', (_, drawing, counts) => {
    expect(masked(drawing).counts).toEqual(counts);
    expect(decodeMask(masked(drawing))).toEqual(ascii(drawing).bits);
  });

  it('come back as they were, through bits and through text', () => {
    fc.assert(
      fc.property(bitmaps(1), ({ size, bits: [bits = new Uint8Array()] }) => {
        const mask = encodeMask(bits, size);
        expect(decodeMask(mask)).toEqual(bits);
        expect(fromCocoString(toCocoString(mask), size)).toEqual(mask);
        expect(maskArea(mask)).toBe(bits.reduce((a, b) => a + b, 0));
      }),
    );
  });

  it('carry large differences through text', () => {
    const size = { width: 9_000, height: 9_000 };
    const counts = [1, 40_000_000, 3, 2, 40_000_000, 1, 999_993];
    expect(fromCocoString(toCocoString({ ...size, counts }), size).counts).toEqual(counts);
  });

  it.each(['\u007f', '0', 'oooooooooo', 'PPPPPPPPP1', 'p'])('refuses the text %j', (text) => {
    expect(() => fromCocoString(text, { width: 3, height: 3 })).toThrow(DataError);
  });

  it('refuse to be more or less than their size', () => {
    expect(() => decodeMask({ width: 2, height: 2, counts: [1, 2] })).toThrow(
      'mask  counts: expected runs that fill 2x2; got 3 pixels',
    );
    expect(() => encodeMask(new Uint8Array(3), { width: 2, height: 2 })).toThrow('mask bits: expected 2x2 = 4; got 3');
  });
});

describe('areas', () => {
  it.each([
    ['apart', '##.. ....', '.... ..##', 0, 0],
    ['sharing one of three', '##. ...', '.## ...', 1, 1 / 3],
    ['the same', '.#. ##.', '.#. ##.', 3, 1],
    ['one empty', '.. ..', '#. ..', 0, 0],
    ['both empty: Seg-R1 gives 0', '.. ..', '.. ..', 0, 0],
  ])('%s', (_, a, b, both, iou) => {
    expect(intersectionArea(masked(a), masked(b))).toBe(both);
    expect(maskIou(masked(a), masked(b))).toBeCloseTo(iou, 12);
  });

  it('of runs equal those of bits', () => {
    fc.assert(
      fc.property(bitmaps(3), ({ size, bits }) => {
        const masks = bits.map((one) => encodeMask(one, size));
        const [a, b] = masks as [Mask, Mask, Mask];
        const [bitsA, bitsB] = bits as [Uint8Array, Uint8Array, Uint8Array];
        const union = unionMasks(masks);
        expect(union).toEqual(
          encodeMask(
            bitsA.map((_, i) => (bits.some((one) => one[i] === 1) ? 1 : 0)),
            size,
          ),
        );
        for (const mask of masks) expect(intersectionArea(union, mask)).toBe(maskArea(mask));
        expect(intersectionArea(a, b)).toBe(bitsA.filter((bit, i) => bit & bitsB[i]).length);
        expect(maskIou(a, b)).toBe(maskIou(b, a));
        expect(maskIou(a, b)).toBeGreaterThanOrEqual(0);
        expect(maskIou(a, b)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('take runs of length 0 for what they are', () => {
    const odd: Mask = { width: 2, height: 2, counts: [0, 0, 1, 0, 1, 2, 0] };
    expect(unionMasks([odd, emptyMask(odd)]).counts).toEqual([2, 2]);
    expect(intersectionArea(odd, masked('## ##'))).toBe(2);
  });

  it('refuse masks of two sizes, and no mask at all', () => {
    expect(() => maskIou(emptyMask({ width: 2, height: 3 }), emptyMask({ width: 3, height: 2 }))).toThrow(
      'expected two masks of one size; got 2x3 and 3x2',
    );
    expect(() => unionMasks([])).toThrow('expected at least one mask; got none');
  });
});

describe('boxOfMask', () => {
  it.each([
    ['.... .##. .#..', [1, 1, 2, 2]],
    ['...# ....', [3, 0, 3, 0]],
    ['## ##', [0, 0, 1, 1]],
    ['... ...', undefined],
  ])('%s', (drawing, box) => expect(boxOfMask(masked(drawing))).toEqual(box));

  it('is the smallest that holds every pixel', () => {
    fc.assert(
      fc.property(bitmaps(1), ({ size, bits: [bits = new Uint8Array()] }) => {
        const inside = [...bits.keys()].filter((i) => bits[i]);
        const xs = inside.map((i) => i % size.width);
        const ys = inside.map((i) => Math.floor(i / size.width));
        const box =
          inside.length === 0 ? undefined : [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
        expect(boxOfMask(encodeMask(bits, size))).toEqual(box);
      }),
    );
  });
});

describe('mask files', () => {
  let folder: string;
  beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'mask-'))));
  afterAll(() => rm(folder, { recursive: true }));

  const size = { width: 4, height: 3 };
  const mask = masked('.##. .##. ...#');

  it('come back as they were written, 8-bit gray', async () => {
    const path = join(folder, 'mask.png');
    await writeMaskPng(path, mask);
    expect(await readMaskFile(path, size)).toEqual({ mask, original: size });
    expect(await sharp(path).metadata()).toMatchObject({ channels: 1, depth: 'uchar' });
  });

  it.each(['....', '####'])('%s is a mask like any other', async (drawing) => {
    const path = join(folder, 'even.png');
    await writeMaskPng(path, masked(drawing));
    expect((await readMaskFile(path, { width: 4, height: 1 })).mask).toEqual(masked(drawing));
  });

  const levels = decodeMask(mask).map((bit) => (bit ? 255 : 0));
  const gray = (): Sharp => sharp(levels, { raw: { ...size, channels: 1 } });
  const kinds: [string, () => Promise<Buffer>][] = [
    ['1-bit gray', async () => rawPng(size, 'gray', 1, Uint8Array.of(0b01100000, 0b01100000, 0b00010000))],
    ['2-bit palette', () => gray().png({ palette: true, colours: 4 }).toBuffer()],
    ['RGB', () => gray().toColourspace('srgb').png().toBuffer()],
    [
      '16-bit gray',
      () =>
        sharp(
          Uint16Array.from(levels, (level) => level * 257),
          { raw: { ...size, channels: 1 } },
        )
          .toColourspace('grey16')
          .png()
          .toBuffer(),
    ],
    [
      'alpha that hides it',
      () =>
        sharp(Uint8Array.from([...levels].flatMap((l) => [l, l, l, 0])), { raw: { ...size, channels: 4 } })
          .png()
          .toBuffer(),
    ],
    [
      'palette, by luma: red 76, green 150',
      () =>
        sharp(Uint8Array.from([...levels].flatMap((l) => (l ? [0, 255, 0] : [255, 0, 0]))), {
          raw: { ...size, channels: 3 },
        })
          .png({ palette: true })
          .toBuffer(),
    ],
  ];
  it.each(kinds)('read %s', async (kind, encoded) => {
    const path = join(folder, `${kind.replaceAll(/\W+/g, '-')}.png`);
    await writeFile(path, await encoded());
    expect((await readMaskFile(path, size)).mask).toEqual(mask);
  });

  it('are stretched with bilinear weights before they are cut at 127', async () => {
    const path = join(folder, 'wide.png');
    await writeMaskPng(path, masked('#... #...'));
    // Weights of the left output pixel are (3, 3, 1) / 7, so a lone left column gives 109.
    expect(await readMaskFile(path, { width: 2, height: 2 })).toEqual({
      mask: masked('.. ..'),
      original: { width: 4, height: 2 },
    });
    await writeMaskPng(path, masked('##.. ##..'));
    expect((await readMaskFile(path, { width: 2, height: 2 })).mask).toEqual(masked('#. #.'));
  });

  it('that cannot be read are a DataError', async () => {
    await expect(readMaskFile(join(folder, 'none.png'), size)).rejects.toThrow(DataError);
  });
});
