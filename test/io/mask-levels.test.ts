import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp, { type Sharp } from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { maskArea, readMaskFile } from '../../src/io/mask.js';
import { scoreItem } from '../../src/operators/scoring/score-item.js';

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'levels-'))));
afterAll(() => rmSync(folder, { recursive: true }));

const [width, height] = [60, 40];
const size = { width, height };

/** Levels by place: a band of eight rows each, from the top, or anything else. */
const bands = (...levels: number[]) => ((_, y) => levels[Math.floor(y / 8)] ?? 0) satisfies Level;
type Level = (x: number, y: number) => number;

const disc =
  (on: number, off = 0): Level =>
  (x, y) =>
    Math.hypot(x - 30, y - 20) < 12 ? on : off;

/** Sixteen samples a pixel. */
const smooth: Level = (x, y) => {
  let sum = 0;
  for (let i = 0; i < 16; i++) sum += disc(255)(x + (i % 4) / 4 - 0.375, y + Math.floor(i / 4) / 4 - 0.375);
  return Math.round(sum / 16);
};

const values = (level: Level): number[] =>
  Array.from({ length: width * height }, (_, i) => level(i % width, Math.floor(i / width)));
const gray = (level: Level): Sharp => sharp(Uint8Array.from(values(level)), { raw: { width, height, channels: 1 } });
const deep = (level: Level): Sharp =>
  sharp(Uint16Array.from(values(level)), { raw: { width, height, channels: 1 } }).toColourspace('grey16');
const coloured = (...colours: string[]): Sharp => {
  const table = colours.map((colour) => [...Buffer.from(colour, 'hex')]);
  return sharp(Uint8Array.from(values(bands(...colours.keys())).flatMap((i) => table[i])), {
    raw: { width, height, channels: 3 },
  });
};
const withAlpha = (level: Level, alpha: Level): Sharp =>
  sharp(Uint8Array.from(values(level).flatMap((l, i) => [l, l, l, alpha(i % width, Math.floor(i / width))])), {
    raw: { width, height, channels: 4 },
  });

// 6 x 4 px, deflate; Pillow 13.0.0: Image.fromarray(levels).save(f, 'TIFF', compression='tiff_deflate').
const tiff = {
  'float of 0 to 1':
    'SUkqAB4AAAB4nGNgaLBjwAka7FExIXFMAABifQa3CgAAAQMAAQAAAAYAAAABAQMAAQAAAAQAAAACAQMAAQAAACAAAAADAQMAAQAAAAgAAAAGAQMAAQAAAAEAAAARAQQAAQAAAAgAAAAWAQMAAQAAAAQAAAAXAQQAAQAAABYAAAAcAQMAAQAAAAEAAABTAQMAAQAAAAMAAAAAAAAA',
  'float of 0 and 1':
    'SUkqABwAAAB4nGNgwAca7FExIXFMAAAc9wX5AAoAAAEDAAEAAAAGAAAAAQEDAAEAAAAEAAAAAgEDAAEAAAAgAAAAAwEDAAEAAAAIAAAABgEDAAEAAAABAAAAEQEEAAEAAAAIAAAAFgEDAAEAAAAEAAAAFwEEAAEAAAATAAAAHAEDAAEAAAABAAAAUwEDAAEAAAADAAAAAAAAAA==',
  'float of 0 and 255':
    'SUkqABwAAAB4nGNgwAfqnVExIXFMAAAhVwYRAAoAAAEDAAEAAAAGAAAAAQEDAAEAAAAEAAAAAgEDAAEAAAAgAAAAAwEDAAEAAAAIAAAABgEDAAEAAAABAAAAEQEEAAEAAAAIAAAAFgEDAAEAAAAEAAAAFwEEAAEAAAATAAAAHAEDAAEAAAABAAAAUwEDAAEAAAADAAAAAAAAAA==',
  'float with NaN':
    'SUkqAB4AAAB4nGNgOFDPgBPUO6NiQuKYAACV+gdQCgAAAQMAAQAAAAYAAAABAQMAAQAAAAQAAAACAQMAAQAAACAAAAADAQMAAQAAAAgAAAAGAQMAAQAAAAEAAAARAQQAAQAAAAgAAAAWAQMAAQAAAAQAAAAXAQQAAQAAABYAAAAcAQMAAQAAAAEAAABTAQMAAQAAAAMAAAAAAAAA',
  '32-bit of 0 and 65535':
    'SUkqABwAAAB4nGNgwA3+/0fFhMSxAQAVdQ/xAAoAAAEDAAEAAAAGAAAAAQEDAAEAAAAEAAAAAgEDAAEAAAAgAAAAAwEDAAEAAAAIAAAABgEDAAEAAAABAAAAEQEEAAEAAAAIAAAAFgEDAAEAAAAEAAAAFwEEAAEAAAATAAAAHAEDAAEAAAABAAAAUwEDAAEAAAACAAAAAAAAAA==',
};
const stored = (name: keyof typeof tiff) => async () => Buffer.from(tiff[name], 'base64');
const png = (picture: Sharp) => () => picture.png().toBuffer();

const area = values(disc(1)).filter(Boolean).length;

const good: [string, () => Promise<Buffer>, number][] = [
  ['0 and 255', png(gray(disc(255))), area],
  ['1 and 255', png(gray(disc(255, 1))), area],
  ['0 and 200', png(gray(disc(200))), area],
  ['all 0', png(gray(() => 0)), 0],
  ['all 255', png(gray(() => 255)), width * height],
  ['16-bit 0 and 255', png(deep(disc(255))), area],
  ['16-bit 0 and 65535', png(deep(disc(65_535))), area],
  ['a palette of black and white', png(gray(disc(255)).png({ palette: true, colours: 2 })), area],
  ['two colours', png(coloured('000080', 'ffff00')), 8 * width],
  ['alpha that is the object', png(withAlpha(disc(255), disc(255))), area],
  ['alpha that is the same everywhere', png(withAlpha(disc(255), () => 128)), area],
  ['smooth edges', png(gray(smooth)), values(smooth).filter((level) => level > 127).length],
  ['votes of twelve people', png(gray(bands(0, 85, 149, 234, 21))), 2 * 8 * width],
  ['what is sure, unsure and not', png(gray(bands(0, 128, 255))), 2 * 8 * width],
  ['a matte', png(gray((x) => x * 4)), 28 * height],
  ['float of 0 and 255', stored('float of 0 and 255'), 8],
  ['32-bit of 0 and 65535', stored('32-bit of 0 and 65535'), 8],
];

const bad: [string, () => Promise<Buffer>, string][] = [
  ['0 and 1', png(gray(disc(1))), 'object pixels over 127; got levels 0, 1;'],
  ['16-bit 0 and 1', png(deep(disc(1))), 'object pixels over 127; got levels 0, 1;'],
  ['16-bit numbers', png(deep(bands(0, 24_000, 26_001))), 'object pixels over 127; got levels 0, 24000, 26001;'],
  ['numbers of labels', png(gray(bands(0, 1, 2, 3))), 'object pixels over 127; got levels 0, 1, 2, 3;'],
  [
    'labels, and 255 for none',
    png(gray(bands(0, 1, 15, 255))),
    'levels of one object; got 0, 1, 15, 255, as of labels',
  ],
  ['many labels', png(gray(bands(0, 23, 145, 181, 60))), 'levels of one object; got 0, 23, 60, 145, 181, as of labels'],
  ['a palette of labels', png(coloured('000000', '800000', 'c08080', 'e0e0c0')), 'got the colours #000000, #800000,'],
  ['one dark colour', png(coloured('000000', '800000')), 'object pixels over 127; got levels 0, 38;'],
  ['alpha alone', png(withAlpha(() => 255, disc(255))), 'got 255 everywhere, and 0 to 255 as alpha'],
  ['alpha alone, on black', png(withAlpha(() => 0, disc(255))), 'got 0 everywhere, and 0 to 255 as alpha'],
  ['two levels over half', png(gray(disc(255, 150))), 'expected pixels that are not the object; got levels 150, 255'],
  ['float of 0 to 1', stored('float of 0 to 1'), 'expected levels of 0 to 255; got 0, 0.25, 1;'],
  ['float of 0 and 1', stored('float of 0 and 1'), 'object pixels over 127; got levels 0, 1;'],
  ['float with NaN', stored('float with NaN'), 'expected levels of 0 to 255; got some that are no numbers'],
];

async function file(name: string, bytes: () => Promise<Buffer>): Promise<string> {
  const path = join(folder, `${name.replaceAll(' ', '-')}.png`);
  writeFileSync(path, await bytes());
  return path;
}

describe('levels of a mask', () => {
  it.each(good)('%s', async (name, bytes, pixels) => {
    const path = await file(name, bytes);
    const { mask, original } = await readMaskFile(path, size);
    const scale = (original.width * original.height) / (width * height);
    if (scale === 1) expect(maskArea(mask)).toBe(pixels);
    else expect(maskArea((await readMaskFile(path, original)).mask)).toBe(pixels);
    const judged = await scoreItem({ kind: 'referring', predicted: { path }, truth: { path } });
    expect(judged.kind === 'referring' && judged.sample.whole.falseAlarms).toBe(0);
  });

  it.each([30, 60, 75, 95])('noise of a JPEG of quality %i', async (quality) => {
    for (const level of [disc(255), smooth]) {
      const jpeg = await gray(level).jpeg({ quality }).toBuffer();
      const { mask } = await readMaskFile(await file(`jpeg-${quality}`, async () => jpeg), size);
      expect(Math.abs(maskArea(mask) - area)).toBeLessThan(area / 10);
      const resaved = await sharp(jpeg).png().toBuffer();
      expect(await readMaskFile(await file(`resaved-${quality}`, async () => resaved), size)).toMatchObject({ mask });
    }
  });
});

describe('levels of something else are named, with the file, by load and by score', () => {
  it.each(bad)('%s', async (name, bytes, reason) => {
    const path = await file(name, bytes);
    const loaded = readMaskFile(path, size);
    await expect(loaded).rejects.toThrow(DataError);
    await expect(loaded).rejects.toThrow(`${path}  mask: `);
    await expect(loaded).rejects.toThrow(reason);
    const scored = scoreItem({ kind: 'foreground', predicted: null, truth: { path } });
    await expect(scored).rejects.toThrow(`${path}  truth: `);
    await expect(scored).rejects.toThrow(reason.replace('127', '128'));
  });

  it.each(['a palette of labels', 'alpha alone', 'float of 0 to 1', 'float with NaN'])(
    '%s as prediction',
    async (name) => {
      const [, bytes, reason] = bad.find(([one]) => one === name)!;
      const path = await file(name, bytes);
      const truth = { path: await file('truth', good[0][1]) };
      await expect(scoreItem({ kind: 'foreground', predicted: { path }, truth })).rejects.toThrow(
        `${path}  prediction: `,
      );
      await expect(scoreItem({ kind: 'referring', predicted: { path }, truth })).rejects.toThrow(reason);
    },
  );

  it('0 and 1 as a prediction that is cut at one half', async () => {
    const path = await file('ones', png(gray(disc(1))));
    const truth = { path: await file('truth', good[0][1]) };
    await expect(scoreItem({ kind: 'referring', predicted: { path }, truth })).rejects.toThrow('got levels 0, 1');
    const judged = await scoreItem({ kind: 'foreground', predicted: { path }, truth });
    expect(judged.kind === 'foreground' && judged.foreground.values['iou/binary']).toBe(1);
  });
});
