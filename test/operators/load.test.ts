import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { lastValueFrom, toArray } from 'rxjs';
import sharp, { type Sharp } from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { DataError, UsageError } from '../../src/errors.js';
import { decodeMask, encodeMask } from '../../src/io/mask.js';
import { imageReader } from '../../src/io/reader.js';
import { drawScene } from '../../src/io/scenes.js';
import { countRows, epochOrder, load, type LoadOptions } from '../../src/operators/load.js';
import { credits, released } from '../../src/streams/credits.js';
import type { Sample } from '../../src/records.js';
import { until } from '../waiting.js';

let root: string;
const at = (...path: string[]): string => join(root, ...path);

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-load-'));
  for (const folder of ['im', 'gt']) mkdirSync(at(folder));
});
afterEach(() => rmSync(root, { recursive: true }));

const picture = (width: number, height: number, color: string) =>
  sharp({ create: { width, height, channels: 3, background: color } });

/** A mask picture whose left `share` is foreground. */
function half(width: number, height: number, share = 0.5): Sharp {
  const levels = Uint8Array.from({ length: width * height }, (_, i) => (i % width < width * share ? 255 : 0));
  return sharp(levels, { raw: { width, height, channels: 1 } });
}

async function pair(name: string, width = 40, height = 30): Promise<void> {
  await picture(width, height, '#336699')
    .png()
    .toFile(at('im', `${name}.png`));
  await half(width, height)
    .png()
    .toFile(at('gt', `${name}.png`));
}

async function rows(options: LoadOptions): Promise<Sample[]> {
  const window = credits(2);
  return await lastValueFrom(load({ readImage: imageReader(), window }, options).pipe(released(window), toArray()));
}

const folders = (more: Partial<LoadOptions> = {}): LoadOptions => ({
  images: at('im'),
  masks: at('gt'),
  frame: 20,
  shuffle: false,
  ...more,
});

describe('load, from scenes', () => {
  const scenes: LoadOptions = { scenes: { count: 6, seed: 3 }, frame: 64 };

  it('gives the scene, its truth at the frame and its candidates', async () => {
    const [row] = await rows({
      scenes: { count: 1, seed: 3, offset: 5, rule: 'striped' },
      frame: 64,
      instruction: 'the striped one',
    });
    const key = { kind: 'pick', seed: 3, index: 5, rule: 'striped' } as const;
    const { truth, boxes, colors, labels, target } = drawScene(key, 64);
    expect(row).toMatchObject({
      id: 'e0/0/pick-3-5',
      image: { scene: key },
      task: 'pick',
      frame: { width: 64, height: 64 },
      original: { width: 112, height: 112 },
      candidates: {
        boxes,
        names: colors,
        target,
        mask: encodeMask(
          labels.map((label) => (label > 0 ? 1 : 0)),
          { width: 64, height: 64 },
        ),
      },
      instruction: 'the striped one',
    });
    expect(row.truth && decodeMask(row.truth)).toEqual(truth);
  });

  it('goes through every scene once an epoch, each epoch in another order that the seed decides', async () => {
    const got = await rows({ ...scenes, epochs: 2, seed: 9 });
    const indices = got.map(({ id }) => id.split('/').slice(0, 2).join('/'));
    expect(indices).toEqual(
      [0, 1].flatMap((epoch) =>
        [...epochOrder(6, epoch, { shuffle: true, seed: 9 })].map((index) => `e${epoch}/${index}`),
      ),
    );
    expect(new Set(indices).size).toBe(12);
    expect([...epochOrder(6, 0, { shuffle: true, seed: 9 })]).not.toEqual([
      ...epochOrder(6, 1, { shuffle: true, seed: 9 }),
    ]);
    expect(await rows({ ...scenes, epochs: 2, seed: 9 })).toEqual(got);
    expect(countRows({ ...scenes, epochs: 2 })).toBe(12);
  });

  it('takes the first of them, in order where it does not shuffle, and draws by the run seed without one of its own', async () => {
    const got = await rows({ scenes: { kind: 'main', count: 6 }, frame: 64, limit: 2, shuffle: false, seed: 4 });
    expect(got.map(({ id, candidates }) => [id, candidates?.boxes.length])).toEqual([
      ['e0/0/main-4-0', 1],
      ['e0/1/main-4-1', 1],
    ]);
  });

  it('goes on behind rows that were given, with those that come again', async () => {
    const options: LoadOptions = { scenes: { count: 4 }, frame: 32, epochs: 2, seed: 3 };
    const all = await rows(options);
    const window = credits(2);
    const pending = new Set([all[1].id, all[3].id]);
    const rest = await lastValueFrom(
      load({ readImage: imageReader(), window, start: { cursor: 5, pending } }, options).pipe(
        released(window),
        toArray(),
      ),
    );
    expect(rest).toEqual([all[1], all[3], ...all.slice(5)]);
  });

  it('never has more rows out than the window, and stops making them when unsubscribed', async () => {
    const window = credits(3);
    const got: Sample[] = [];
    const subscription = load({ readImage: imageReader(), window }, { scenes: { count: 50 }, frame: 32 }).subscribe(
      (row) => got.push(row),
    );
    // A later load of as many rows would be overtaken by one that made more.
    const others = (): Promise<Sample[]> => rows({ scenes: { count: 4 }, frame: 32 });
    await until(() => got.length === 3);
    await others();
    expect(got).toHaveLength(3);
    window.give(got[0].id);
    await until(() => got.length === 4);
    await others();
    expect([got.length, window.inFlight, window.peak]).toEqual([4, 3, 3]);
    subscription.unsubscribe();
    window.give(got[1].id);
    await others();
    expect([got.length, window.inFlight]).toEqual([4, 2]);
  });

  it.each([
    ['no source', {}, 'expected scenes, a set, a benchmark, or images and masks; got none of them'],
    ['two sources', { scenes: { count: 1 }, images: 'im', masks: 'gt' }, 'expected either scenes or images; got both'],
    ['masks alone', { masks: 'gt' }, 'expected images beside masks; got masks alone'],
    [
      'a frame that is not square',
      { scenes: { count: 1 }, frame: [64, 48] },
      'expected a square of at least 32 px for scenes; got 64x48',
    ],
    [
      'a frame too small',
      { scenes: { count: 1 }, frame: 16 },
      'expected a square of at least 32 px for scenes; got 16x16',
    ],
  ] as [string, LoadOptions, string][])('refuses %s', (_, options, message) => {
    expect(() => load({ readImage: imageReader(), window: credits(1) }, options)).toThrow(message);
  });
});

describe('load, from folders', () => {
  it('gives path, truth at the frame, and the size as stored', async () => {
    await pair('a');
    const [row] = await rows(folders({ frame: [20, 10] }));
    expect(row).toMatchObject({
      id: 'e0/0/a',
      image: { path: at('im', 'a.png') },
      truthPath: at('gt', 'a.png'),
      task: 'foreground',
      frame: { width: 20, height: 10 },
      original: { width: 40, height: 30 },
      truth: { width: 20, height: 10, counts: [0, 100, 100] },
    });
    expect(row.skipped).toBeUndefined();
  });

  it('stands a photo upright by its EXIF turn, and expects the mask to stand so', async () => {
    await picture(40, 30, '#336699').withMetadata({ orientation: 6 }).jpeg().toFile(at('im', 'a.jpg'));
    await half(30, 40).png().toFile(at('gt', 'a.png'));
    const [row] = await rows(folders());
    expect([row.original, row.skipped]).toEqual([{ width: 30, height: 40 }, undefined]);
  });

  it('keeps a full mask, and marks an empty one', async () => {
    for (const [name, share] of [
      ['empty', 0],
      ['full', 1],
    ] as const) {
      await pair(name);
      await half(40, 30, share)
        .png()
        .toFile(at('gt', `${name}.png`));
    }
    const got = await rows(folders({ tolerate: 1 }));
    expect(got.map(({ skipped }) => skipped)).toEqual([{ stage: 'load', reason: 'empty mask' }, undefined]);
  });

  it('marks what cannot be used, and goes on', async () => {
    for (const name of ['cut', 'good', 'nopicture', 'nomask', 'other']) await pair(name);
    await sharp(Buffer.from(Uint8Array.from({ length: 30000 }, (_, i) => (i * 7919) >>> 3)), {
      raw: { width: 100, height: 100, channels: 3 },
    })
      .jpeg()
      .toFile(at('im', 'cut.jpg'));
    rmSync(at('im', 'cut.png'));
    await half(100, 100).png().toFile(at('gt', 'cut.png'));
    truncateSync(at('im', 'cut.jpg'), 3000);
    writeFileSync(at('im', 'nopicture.png'), 'text');
    writeFileSync(at('gt', 'nomask.png'), 'text');
    await half(41, 30).png().toFile(at('gt', 'other.png'));
    const got = await rows(folders({ tolerate: 4 }));
    const reasons = Object.fromEntries(got.map(({ id, skipped }) => [id.split('/')[2], skipped?.reason]));
    expect(Object.keys(reasons)).toEqual(['cut', 'good', 'nomask', 'nopicture', 'other']);
    expect(reasons.cut).toContain('image: expected a picture that can be decoded to its end');
    expect(reasons.nopicture).toContain('image: expected a picture with a readable header');
    expect(reasons.nomask).toContain(`${at('gt', 'nomask.png')}  image: expected a picture`);
    expect([reasons.good, reasons.other]).toEqual([
      undefined,
      'mask of another size: expected 40x30 as the image; got 41x30',
    ]);
    expect(got.map(({ truth }) => truth !== undefined)).toEqual([false, true, false, false, false]);
  });

  it('fails with the row, its path and the reason once there are more than it may tolerate', async () => {
    for (const name of ['a', 'b', 'c']) await pair(name);
    for (const name of ['a', 'c']) writeFileSync(at('im', `${name}.png`), 'text');
    const window = credits(8);
    const seen: string[] = [];
    const error: unknown = await new Promise((resolve) =>
      load({ readImage: imageReader(), window }, folders({ tolerate: 1 })).subscribe({
        next: ({ id }) => seen.push(id),
        error: resolve,
      }),
    );
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toContain(
      `${at('im', 'c.png')}  row e0/2/c: expected at most 1 rows that can't be used; got 2, the last for: image: expected a picture with a readable header`,
    );
    expect(seen).toEqual(['e0/0/a', 'e0/1/b']);
    expect(window.inFlight).toBe(2);
  });

  it('refuses images without a mask before any work, or marks them without counting', async () => {
    await pair('a');
    await pair('b');
    rmSync(at('gt', 'b.png'));
    expect(() => load({ readImage: imageReader(), window: credits(1) }, folders())).toThrow(UsageError);
    expect(() => load({ readImage: imageReader(), window: credits(1) }, folders())).toThrow(
      `masks: expected one for each of 2 images; got none for 1, ${at('im', 'b.png')} first; maskless: mark goes on without them`,
    );
    const got = await rows(folders({ maskless: 'mark' }));
    expect(got.map(({ skipped }) => skipped?.reason)).toEqual([undefined, 'no mask']);
  });

  it('gives rows without truth where no masks are named', async () => {
    await pair('a');
    const [row] = await rows({ images: at('im'), frame: 20 });
    expect([row.truth, row.skipped]).toEqual([undefined, undefined]);
  });

  // The recipe of scripts/make-sample.mjs: 96 px, rule warm, seed 2024.
  it('reads the shipped sample, which is what its script draws', async () => {
    const sample = (folder: string): string => fileURLToPath(new URL(`../../data/sample/${folder}`, import.meta.url));
    const got = await rows({ images: sample('images'), masks: sample('masks'), frame: 96, shuffle: false });
    expect(got.map(({ id }) => id)).toEqual(
      Array.from({ length: 16 }, (_, i) => `e0/${i}/pick-${String(i).padStart(2, '0')}`),
    );
    for (const [index, { image, truth, skipped }] of got.entries()) {
      const scene = drawScene({ kind: 'pick', rule: 'warm', seed: 2024, index }, 96);
      expect([skipped, truth && decodeMask(truth)]).toEqual([undefined, scene.truth]);
      expect(await imageReader()(image)).toEqual(scene.image);
    }
  });

  it('refuses a missing folder before any work', () => {
    expect(() => load({ readImage: imageReader(), window: credits(1) }, folders({ images: at('none') }))).toThrow(
      `images  ${at('none')}: expected a folder of images; got nothing there`,
    );
  });

  it('passes on what is no fault of the data', async () => {
    await pair('a');
    const broken = load({ readImage: () => Promise.reject(new TypeError('a bug')), window: credits(1) }, folders());
    await expect(lastValueFrom(broken)).rejects.toThrow(TypeError);
  });
});
