import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { decodeImage, encodePng, imageSize, readImageFile, toGray } from '../../src/io/image.js';
import { rawPng } from './png.js';

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'image-'))));
afterAll(() => rm(folder, { recursive: true }));

async function stored(name: string, bytes: Uint8Array): Promise<string> {
  await writeFile(join(folder, name), bytes);
  return join(folder, name);
}

/** Three pixels wide, two high. */
const pixels = Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 100, 150, 200, 250, 250, 250);
const picture = (): Sharp => sharp(pixels, { raw: { width: 3, height: 2, channels: 3 } });
const noise = (width: number, height: number): Sharp =>
  sharp(
    Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 7919 + (i >> 3) * 104729) & 255),
    { raw: { width, height, channels: 3 } },
  );
const cut = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, Math.floor(bytes.length * 0.7));

describe('readImageFile', () => {
  it('gives RGB bytes, row by row', async () => {
    const image = await readImageFile(await stored('rgb.png', await picture().png().toBuffer()));
    expect(image).toEqual({ width: 3, height: 2, data: pixels });
  });

  it('reads back what encodePng wrote', async () => {
    const image = { width: 3, height: 2, data: pixels };
    expect(await decodeImage(await encodePng(image), 'memory')).toEqual(image);
  });

  it('expands gray', async () => {
    const bytes = await sharp(Uint8Array.of(0, 7, 127, 255), { raw: { width: 2, height: 2, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toBuffer();
    expect((await sharp(bytes).metadata()).channels).toBe(1);
    expect([...(await decodeImage(bytes, 'gray')).data]).toEqual([0, 0, 0, 7, 7, 7, 127, 127, 127, 255, 255, 255]);
  });

  it('expands a palette', async () => {
    const bytes = await picture().png({ palette: true, colours: 8 }).toBuffer();
    expect((await sharp(bytes).metadata()).isPalette).toBe(true);
    expect((await decodeImage(bytes, 'palette')).data).toEqual(pixels);
  });

  it.each([
    ['RGB', 3, 'rgb16'],
    ['gray', 1, 'grey16'],
  ] as const)('keeps the high byte of 16-bit %s', async (_, channels, space) => {
    const values = Uint16Array.from({ length: 4 * channels }, (_unused, i) => i * 5000 + 255);
    const bytes = await sharp(values, { raw: { width: 2, height: 2, channels } })
      .toColourspace(space)
      .png()
      .toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe('ushort');
    const { data } = await decodeImage(bytes, '16 bit');
    expect([...data]).toEqual([...values].flatMap((value) => Array.from({ length: 3 / channels }, () => value >> 8)));
  });

  it('drops alpha, or lays it on white where asked', async () => {
    const bytes = await sharp(Uint8Array.of(200, 100, 50, 0, 200, 100, 50, 255), {
      raw: { width: 2, height: 1, channels: 4 },
    })
      .png()
      .toBuffer();
    expect([...(await decodeImage(bytes, 'alpha')).data]).toEqual([200, 100, 50, 200, 100, 50]);
    expect([...(await decodeImage(bytes, 'alpha', { alpha: 'white' })).data]).toEqual([255, 255, 255, 200, 100, 50]);
  });

  it('converts CMYK', async () => {
    const gray = sharp({ create: { width: 8, height: 8, channels: 3, background: { r: 200, g: 200, b: 200 } } });
    const bytes = await gray.toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer();
    expect((await sharp(bytes).metadata()).space).toBe('cmyk');
    const image = await decodeImage(bytes, 'cmyk');
    expect(image.data).toHaveLength(8 * 8 * 3);
    for (const level of image.data) expect(Math.abs(level - 200)).toBeLessThan(20);
  });

  it('undoes the EXIF turn', async () => {
    const path = await stored('turned.png', await picture().withMetadata({ orientation: 6 }).png().toBuffer());
    const image = await readImageFile(path);
    expect([image.width, image.height]).toEqual([2, 3]);
    // Orientation 6: to be turned clockwise, so the left column becomes the top row, from below.
    expect([...image.data.subarray(0, 6)]).toEqual([10, 20, 30, 255, 0, 0]);
    expect(await imageSize(path)).toEqual({ width: 2, height: 3 });
  });
});

describe('what cannot be decoded is a DataError with path and reason', () => {
  const broken: [string, () => Promise<Uint8Array>, RegExp][] = [
    ['empty.jpg', async () => new Uint8Array(0), /expected a picture; got 0 bytes/],
    [
      'text.png',
      async () => Buffer.from('not a picture'),
      /expected a picture that can be decoded to its end; got .*unsupported image format/,
    ],
    ['cut.jpg', async () => cut(await noise(64, 64).jpeg().toBuffer()), /decoded to its end; got .+/],
    ['cut.png', async () => cut(await noise(64, 64).png().toBuffer()), /decoded to its end; got .+/],
    [
      'bomb.png',
      async () => rawPng({ width: 20_000, height: 20_000 }, 'rgb', 8, new Uint8Array(100)),
      /expected at most 89478485 pixels; got 20000x20000; store it smaller/,
    ],
  ];
  it.each(broken)('%s', async (name, bytes, reason) => {
    const path = await stored(name, await bytes());
    const error = await readImageFile(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toContain(`${path}  image: `);
    expect((error as Error).message).toMatch(reason);
    expect((error as Error).message).not.toContain('\n');
  });

  it('a missing file', async () => {
    const path = join(folder, 'missing.png');
    await expect(readImageFile(path)).rejects.toThrow(
      `${path}  image: expected a file that can be read; got ENOENT: no such file or directory`,
    );
    await expect(imageSize(path)).rejects.toThrow(DataError);
  });
});

describe('imageSize', () => {
  it('reads the header alone', async () => {
    const path = await stored('header.jpg', cut(await noise(64, 48).jpeg().toBuffer()));
    expect(await imageSize(path)).toEqual({ width: 64, height: 48 });
  });
});

describe('toGray', () => {
  // Pillow: Image.new('RGB', (1, 1), colour).convert('L').getpixel((0, 0)), by its documented integer formula.
  it.each([
    [[255, 0, 0], 76],
    [[0, 255, 0], 150],
    [[0, 0, 255], 29],
    [[128, 0, 0], 38],
    [[77, 77, 77], 77],
  ])('%j is %i', (colour, level) => {
    expect(toGray({ width: 1, height: 1, data: Uint8Array.from(colour) })).toEqual(Uint8Array.of(level));
  });
});
