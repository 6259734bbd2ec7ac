import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { encodePng } from '../../src/io/image.js';
import { imageReader } from '../../src/io/reader.js';
import { resize } from '../../src/io/resize.js';
import { drawScene } from '../../src/io/scenes.js';
import type { ReadImage } from '../../src/models/segmenter.js';
import type { Image, SceneKey } from '../../src/records.js';

const image: Image = { width: 40, height: 30, data: Uint8Array.from({ length: 3600 }, (_, i) => (i * 37) % 256) };
const key: SceneKey = { kind: 'pick', seed: 1, index: 2, rule: 'warm' };
let folder: string;
let path: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'segr1-reader-'));
  path = join(folder, 'a.png');
  writeFileSync(path, await encodePng(image));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('imageReader', () => {
  it('is what stages read with', () => {
    expectTypeOf(imageReader()).toExtend<ReadImage>();
  });

  it('reads a file at its own size, or stretched as Pillow does', async () => {
    const read = imageReader();
    expect(await read({ path })).toEqual(image);
    expect(await read({ path }, { width: 16, height: 20 })).toEqual(
      resize(image, { width: 16, height: 20 }, 'bilinear', 'pillow'),
    );
  });

  it('draws a scene at the frame, at 112 px without one, and stretches it to a frame that is not square', async () => {
    const read = imageReader();
    expect(await read({ scene: key }, { width: 64, height: 64 })).toEqual(drawScene(key, 64).image);
    expect(await read({ scene: key })).toEqual(drawScene(key, 112).image);
    expect(await read({ scene: key }, { width: 64, height: 48 })).toEqual(
      resize(drawScene(key, 64).image, { width: 64, height: 48 }),
    );
  });

  it('reads once for all who ask at the same time, and for who asks later', async () => {
    const read = imageReader();
    const [first, second] = await Promise.all([read({ path }), read({ path })]);
    expect(second).toBe(first);
    expect(await read({ path })).toBe(first);
    expect(await read({ path }, { width: 16, height: 16 })).not.toBe(first);
  });

  it('draws once for all rules, which change no pixel', async () => {
    const read = imageReader();
    expect(await read({ scene: { ...key, rule: 'largest' } })).toBe(await read({ scene: key }));
  });

  it('forgets what was used longest ago when its bytes are spent', async () => {
    const size = (width: number): [{ path: string }, { width: number; height: number }] => [
      { path },
      { width, height: 10 },
    ];
    const read = imageReader({ cacheMegabytes: 0.00065 });
    const ten = await read(...size(10));
    const eleven = await read(...size(11));
    expect(await read(...size(10))).toBe(ten);
    await read(...size(9));
    expect(await read(...size(10))).toBe(ten);
    expect(await read(...size(11))).not.toBe(eleven);
  });

  it('keeps nothing with a cache of 0, and nothing larger than its cache', async () => {
    for (const read of [imageReader({ cacheMegabytes: 0 }), imageReader({ cacheMegabytes: 0.003 })]) {
      expect(await read({ path })).not.toBe(await read({ path }));
    }
  });

  it('rejects where a file is missing, and reads it once it is there', async () => {
    const read = imageReader();
    const late = join(folder, 'late.png');
    await expect(read({ path: late })).rejects.toThrow(DataError);
    writeFileSync(late, await encodePng(image));
    expect(await read({ path: late })).toEqual(image);
  });
});
