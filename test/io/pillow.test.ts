import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { decodeBmp } from '../../src/io/bmp.js';
import { decodeImage, imageSize, PIXEL_LIMIT, readPlanes } from '../../src/io/image.js';

interface Picture {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly size: readonly [number, number];
  readonly rgb: Uint8Array;
}

// Pictures of every kind, and what Pillow 13.0.0's convert("RGB") makes of them: fixtures/pillow-rgb.py.
const lines = await readFile(new URL('fixtures/pillow-rgb.jsonl', import.meta.url), 'utf8');
const pictures = lines
  .trim()
  .split('\n')
  .map((line): Picture => {
    const { name, bytes, size, rgb } = JSON.parse(line) as Record<'name' | 'bytes' | 'rgb', string> & Picture;
    return { name, bytes: Buffer.from(String(bytes), 'base64'), size, rgb: Buffer.from(String(rgb), 'base64') };
  });
const bytesOf = (name: string): Uint8Array => pictures.find((one) => one.name === name)!.bytes;

let folder: string;
beforeAll(async () => (folder = await mkdtemp(join(tmpdir(), 'pillow-'))));
afterAll(() => rm(folder, { recursive: true }));

describe('colours are those of Pillow, to the level', () => {
  it.each(pictures)('$name', async ({ name, bytes, size: [width, height], rgb }) => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    const image = await decodeImage(bytes, name);
    expect(image).toEqual({ width, height, data: new Uint8Array(rgb) });
    expect(await imageSize(path)).toEqual({ width, height });
    expect((await readPlanes(path)).image).toEqual(image);
  });
});

describe('a bitmap', () => {
  it('has the alpha that its masks declare', async () => {
    const { channels, data } = decodeBmp(bytesOf('32-v4.bmp'));
    expect([channels, data.length]).toEqual([4, 13 * 7 * 4]);
    const opaque = await decodeImage(bytesOf('32-v4.bmp'), 'v4', { alpha: 'white' });
    expect(opaque.data[0]).toBe(Math.round(255 + ((data[0] - 255) * data[3]) / 255));
  });

  it('keeps index 0 where its run lengths move on', async () => {
    const bytes = Buffer.from(bytesOf('runs-8.bmp'));
    const offset = bytes.readUInt32LE(10);
    const moved = Buffer.concat([bytes.subarray(0, offset), Buffer.from([0, 2, 2, 6, 1, 9, 0, 1])]);
    const palette = (index: number): number[] => [...bytes.subarray(54 + 4 * index, 57 + 4 * index)].toReversed();
    const { data } = await decodeImage(moved, 'moved');
    // Two to the right and six up from the lower left corner.
    expect([...data.subarray(6, 9)]).toEqual(palette(9));
    expect([...data.subarray(9, 12)]).toEqual(palette(0));
  });

  it.each([
    ['cut off', (bytes: Buffer) => bytes.subarray(0, -8), '24.bmp', /expected 33\d bytes of a bitmap; got 32\d/],
    ['cut off in its runs', (bytes: Buffer) => bytes.subarray(0, -20), 'runs-8.bmp', /run lengths of 7 rows; got 5/],
    ['cut off in its header', (bytes: Buffer) => bytes.subarray(0, 40), '24.bmp', /header of a bitmap/],
    [
      'of an unknown compression',
      (bytes: Buffer) => (bytes.writeUInt32LE(4, 30), bytes),
      '24.bmp',
      /plain or in run lengths; got 13x7, 24 bits, compression 4/,
    ],
    [
      'with more pixels than anybody has',
      (bytes: Buffer) => (bytes.writeInt32LE(2e5, 18), bytes.writeInt32LE(2e5, 22), bytes),
      'runs-8.bmp',
      new RegExp(`at most ${PIXEL_LIMIT} pixels; got 200000x200000`),
    ],
  ] as const)('%s is refused', async (_, damaged, name, reason) => {
    await expect(decodeImage(damaged(Buffer.from(bytesOf(name))), name)).rejects.toThrow(reason);
  });
});
