import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import fc from 'fast-check';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { DataError, UsageError } from '../../../src/errors.js';
import { fitted, jpegSteps } from '../../../src/io/prepare/jpeg.js';
import type { Step } from '../../../src/io/prepare/step.js';
import { temporaryName } from '../../../src/io/user-files.js';
import { lay, picture } from '../sets/lay.js';

let root: string;
const at = (path: string): string => join(root, path);
const files = (): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted();
async function all(steps: readonly Step[]): Promise<void> {
  for (const step of steps) await step.run();
}
const texts = (steps: readonly Step[]): string[] => steps.map(({ text }) => text.replaceAll(`${root}/`, ''));
const noisy = (mean: number): Promise<Buffer> =>
  sharp({
    create: { width: 9, height: 7, channels: 3, background: 'red', noise: { type: 'gaussian', mean, sigma: 30 } },
  })
    .png()
    .toBuffer();
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-jpeg-'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('jpegSteps', () => {
  it('writes a JPEG beside each picture, in folders too, and knows what is done', async () => {
    lay(root, {
      'a.png': await picture(8, 6),
      'in/b.webp': await sharp(await picture(5, 4))
        .webp()
        .toBuffer(),
      'c.jpg': await sharp(await picture(3, 3))
        .jpeg()
        .toBuffer(),
      'notes.txt': 'x',
    });
    const steps = await jpegSteps(root);
    expect(texts(steps)).toEqual(['a.png -> a.jpg', 'in/b.webp -> in/b.jpg']);
    expect(files()).toEqual(['a.png', 'c.jpg', 'in/b.webp', 'notes.txt']);

    await steps[0]?.run();
    expect(await jpegSteps(root)).toHaveLength(1);
    await all(await jpegSteps(root));
    expect(await jpegSteps(root)).toEqual([]);
    expect(await sharp(at('in/b.jpg')).metadata()).toMatchObject({ format: 'jpeg', width: 5, height: 4, channels: 3 });
  });

  it('removes pictures only where it is told to', async () => {
    lay(root, { 'a.png': await picture(8, 6), 'A.txt': '' });
    await all(await jpegSteps(root, { replace: true }));
    expect(files()).toEqual(['A.txt', 'a.jpg']);
    expect(await jpegSteps(root, { replace: true })).toEqual([]);
  });

  it('removes the pictures of JPEGs that it made before', async () => {
    lay(root, { 'a.png': await noisy(90), 'in/a.png': await noisy(120) });
    await all(await jpegSteps(root));
    const steps = await jpegSteps(root, { replace: true });
    expect(texts(steps)).toEqual([
      'a.png removed, of which a.jpg was made',
      'in/a.png removed, of which in/a.jpg was made',
    ]);
    await all(steps);
    expect(files()).toEqual(['a.jpg', 'in/a.jpg']);
  });

  it('leaves nothing of a picture that is cut off', async () => {
    lay(root, {
      'a.png': (
        await sharp({
          create: {
            width: 90,
            height: 90,
            channels: 3,
            background: 'red',
            noise: { type: 'gaussian', mean: 99, sigma: 40 },
          },
        })
          .png()
          .toBuffer()
      ).subarray(0, 4000),
    });
    await expect(all(await jpegSteps(root, { replace: true }))).rejects.toThrow(DataError);
    expect(files()).toEqual(['a.png']);
  });

  it.each([
    [
      { width: 9459, height: 9459 },
      { width: 9459, height: 9459 },
    ],
    [
      { width: 10_000, height: 9000 },
      { width: 4096, height: 3686 },
    ],
    [
      { width: 2, height: 89_478_485 },
      { width: 1, height: 4096 },
    ],
  ])('makes smaller what has too many pixels: %o', (size, wanted) => expect(fitted(size)).toEqual(wanted));

  it('refuses no folder', async () => {
    await expect(jpegSteps(at('none'))).rejects.toThrow('jpeg: expected a folder; got none');
  });
});

describe('a picture beside something called as its JPEG', () => {
  it.each<[string, (png: Buffer) => Promise<void> | void, string]>([
    [
      'a photograph of the same size',
      async () =>
        writeFileSync(
          at('z.jpg'),
          await sharp(await noisy(30))
            .jpeg()
            .toBuffer(),
        ),
      'another file',
    ],
    [
      'a photograph whose name ends in capitals',
      async () =>
        writeFileSync(
          at('z.JPG'),
          await sharp(await noisy(30))
            .jpeg()
            .toBuffer(),
        ),
      'another file',
    ],
    [
      'the same picture, of other quality',
      async (png) => writeFileSync(at('z.jpg'), await sharp(png).jpeg({ quality: 80 }).toBuffer()),
      'another file',
    ],
    ['a folder', () => mkdirSync(at('z.jpg')), 'another folder'],
    ['a link to nothing', () => symlinkSync('nowhere', at('z.jpg')), 'another link'],
    ['a link to itself', () => symlinkSync('z.png', at('z.jpg')), 'another link'],
  ])('is left, before anything is done: %s', async (_, put, got) => {
    const png = await noisy(90);
    lay(root, { 'a.png': png, 'z.png': png });
    await put(png);
    const before = files();
    await expect(jpegSteps(root, { replace: true })).rejects.toThrow(UsageError);
    await expect(jpegSteps(root, { replace: true })).rejects.toThrow(
      `to be made of it, before it is removed; got ${got}; way out: leave out --replace, or move one of them elsewhere`,
    );
    expect(files()).toEqual(before);

    await all(await jpegSteps(root));
    expect(files()).toEqual([...before, 'a.jpg'].toSorted());
  });

  it('is left where that cannot be read', async () => {
    lay(root, { 'a.png': await noisy(90), 'z.png': await noisy(90), 'z.jpg': '' });
    for (const replace of [false, true]) await expect(jpegSteps(root, { replace })).rejects.toThrow(DataError);
    expect(files()).toEqual(['a.png', 'z.jpg', 'z.png']);
  });

  it('is left where the file comes while others are done', async () => {
    lay(root, { 'a.png': await noisy(90), 'b.png': await noisy(90) });
    const [first, second] = await jpegSteps(root, { replace: true });
    await first?.run();
    writeFileSync(at('b.jpg'), 'mine');
    await expect(second?.run()).rejects.toThrow(
      'b.jpg  jpeg: expected nothing, or what was made of the picture beside it; got a file that came meanwhile',
    );
    expect([files(), readFileSync(at('b.jpg'), 'utf8')]).toEqual([['a.jpg', 'b.jpg', 'b.png'], 'mine']);
  });

  it('is left where its JPEG was made of what it was before', async () => {
    lay(root, { 'a.png': await noisy(90) });
    await all(await jpegSteps(root));
    writeFileSync(at('a.png'), await noisy(120));
    await expect(jpegSteps(root, { replace: true })).rejects.toThrow(UsageError);
  });
});

describe('names', () => {
  it.each([
    ['of two kinds', 'a.png', 'a.webp'],
    ['in other letters', 'Photo.png', 'photo.webp'],
    ['with an accent in one or two characters', 'caf\u00e9.png', 'cafe\u0301.webp'],
  ])('that would give one JPEG are refused: %s', async (_, one, other) => {
    lay(root, { [one]: await picture(4, 4), [other]: await picture(4, 4) });
    const before = files();
    for (const replace of [false, true])
      await expect(jpegSteps(root, { replace })).rejects.toThrow('jpeg: expected another name than that of');
    expect(files()).toEqual(before);
  });

  it('may be the same in two folders, even where the folders differ by case', async () => {
    lay(root, {
      'Train/a.png': await picture(4, 4),
      'train/a.webp': await sharp(await picture(4, 4))
        .webp()
        .toBuffer(),
    });
    await all(await jpegSteps(root, { replace: true }));
    expect(files()).toEqual(['Train/a.jpg', 'train/a.jpg']);
  });

  it('of the user are never those that it writes under', async () => {
    lay(root, { 'a.png': await picture(4, 4), 'a.jpg.partial': 'mine', '.a.jpg.partial': 'mine' });
    await all(await jpegSteps(root, { replace: true }));
    expect(files()).toEqual(['.a.jpg.partial', 'a.jpg', 'a.jpg.partial']);
    expect(readFileSync(at('a.jpg.partial'), 'utf8')).toBe('mine');
  });
});

describe('with --replace alone', () => {
  it('are JPEGs of too many pixels made smaller, in their place', async () => {
    const wide = await sharp({ create: { width: 60_000, height: 1500, channels: 3, background: 'teal' } })
      .toColourspace('b-w')
      .jpeg({ quality: 20 })
      .toBuffer();
    lay(root, { 'a.jpg': wide });
    const told = await jpegSteps(root);
    expect(texts(told)).toEqual(['a.jpg left as it is, with more than 89478485 pixels; --replace makes it smaller']);
    await all(told);
    expect(readFileSync(at('a.jpg')).equals(wide)).toBe(true);
    await all(await jpegSteps(root, { replace: true }));
    expect(await sharp(at('a.jpg')).metadata()).toMatchObject({ width: 4096, height: 102 });
    expect(await jpegSteps(root, { replace: true })).toEqual([]);
  });

  it('is a file of several pictures refused', async () => {
    const page = (background: string): Buffer =>
      Buffer.from(new Uint8Array(3 * 6 * 4).fill(background === 'a' ? 9 : 200));
    const twice = await sharp(Buffer.concat([page('a'), page('b')]), {
      raw: { width: 6, height: 8, channels: 3, pageHeight: 4 },
    })
      .webp({ loop: 0, delay: [10, 10] })
      .toBuffer();
    lay(root, { 'a.webp': twice });
    await expect(jpegSteps(root, { replace: true })).rejects.toThrow(
      'a.webp  jpeg: expected one picture to be replaced; got 2, of which a JPEG holds the first',
    );
    await all(await jpegSteps(root));
    expect(files()).toEqual(['a.jpg', 'a.webp']);
  });
});

describe('a run that was broken off', () => {
  /**
   * What is on disk at any moment of a step: nothing done, the JPEG half written, whole under its first name, or by its
   * own.
   */
  const moments = ['before', 'half', 'whole', 'renamed'] as const;

  it('goes on: every picture ends as its own JPEG, and nothing else is left', async () => {
    const pictures = Object.fromEntries(
      await Promise.all([1, 2, 3, 4].map(async (n) => [`in/${n}.png`, await noisy(40 * n)] as const)),
    );
    lay(root, pictures);
    await all(await jpegSteps(root));
    const jpegs = new Map([1, 2, 3, 4].map((n) => [`in/${n}.jpg`, readFileSync(at(`in/${n}.jpg`))]));

    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(4), fc.constantFrom(...moments)), { maxLength: 3 }), async (breaks) => {
        rmSync(at('in'), { recursive: true });
        lay(root, pictures);
        for (const [done, moment] of breaks) {
          await all((await jpegSteps(root, { replace: true })).slice(0, done));
          const [next] = files().filter(
            (name) => name.endsWith('.png') && !files().includes(name.replace('png', 'jpg')),
          );
          const jpeg = next === undefined ? undefined : jpegs.get(next.replace('png', 'jpg'));
          if (next === undefined || jpeg === undefined || moment === 'before') continue;
          const first = temporaryName(at(next.replace('png', 'jpg')), jpeg);
          writeFileSync(first, moment === 'half' ? jpeg.subarray(0, jpeg.length / 2) : jpeg);
          if (moment === 'renamed') {
            copyFileSync(first, at(next.replace('png', 'jpg')));
            rmSync(first);
          }
        }
        await all(await jpegSteps(root, { replace: true }));
        expect(files()).toEqual([...jpegs.keys()]);
        for (const [name, jpeg] of jpegs) expect(readFileSync(at(name)).equals(jpeg)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });
});
