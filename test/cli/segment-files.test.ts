import {
  appendFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { placed, refuseTaken, withoutResults, writeFiles } from '../../src/cli/segment-files.js';
import { UsageError } from '../../src/errors.js';
import { foldName, temporaryName } from '../../src/io/user-files.js';
import { lay } from '../io/sets/lay.js';
import { folder, refusal } from '../pipelines/files.js';

const names = (...images: readonly string[]): string[] =>
  placed(images, 'out').map(({ files }) => files.json.slice('out/'.length, -'.json'.length));

describe('placed, where names are as long as a file system allows', () => {
  const long = 'n'.repeat(251);
  it.each([
    ['letters', [`${long}.png`, `${long.slice(1)}m.png`, `x/${long}.jpg`]],
    ['letters of several bytes', ['é'.repeat(125), '語'.repeat(83), '😀'.repeat(62)].map((name) => `${name}.png`)],
    ['names that fit with their ending, but not with a number', [`${'n'.repeat(243)}.png`, `x/${'n'.repeat(243)}.png`]],
  ])('%s: every file fits, and none is shared', (_, images) => {
    const files = placed(images, 'out').flatMap(({ files }) => Object.values(files).map((file) => basename(file)));
    expect(Math.max(...files.map((file) => Buffer.byteLength(file)))).toBeLessThanOrEqual(255);
    expect(new Set(files).size).toBe(3 * images.length);
    expect(files.map((file) => Buffer.from(file).toString())).toEqual(files);
    expect(placed(images, 'out')).toEqual(placed(images, 'out'));
  });

  it('keeps a name that fits', () => {
    expect(names(`${'n'.repeat(243)}.png`)).toEqual(['n'.repeat(243)]);
  });
});

describe('placed', () => {
  it.each([
    [
      ['a.png', 'b.png'],
      ['a', 'b'],
    ],
    [
      ['a.png', 'a.jpg', 'x/a.png'],
      ['a', 'a-2', 'a-3'],
    ],
    [
      ['a.png', 'x/a.png', 'a-2.png'],
      ['a', 'a-3', 'a-2'],
    ],
    [
      ['a-2.png', 'a.png', 'x/a.png', 'x/a-2.png'],
      ['a-2', 'a', 'a-3', 'a-2-2'],
    ],
    [
      ['Photo.png', 'photo.png'],
      ['Photo', 'photo-2'],
    ],
    [
      ['PHOTO-2.png', 'Photo.png', 'photo.png'],
      ['PHOTO-2', 'Photo', 'photo-3'],
    ],
    [
      ['caf\u00e9.png', 'cafe\u0301.png'],
      ['caf\u00e9', 'cafe\u0301-2'],
    ],
    [
      ['a.png', 'a.mask.png', 'a.overlay.png'],
      ['a', 'a.mask', 'a.overlay'],
    ],
  ])('calls the results of %j %j', (images, expected) => expect(names(...images)).toEqual(expected));

  it('gives no two results a file in common, whatever the images are called, and each name of one image to that image', () => {
    const stem = fc.stringMatching(/^[abAB](\.mask|\.overlay|\.json|-[23]){0,3}$/);
    const image = fc
      .tuple(fc.constantFrom('', 'x/', 'y/'), stem, fc.constantFrom('.png', '.jpg', '.JPG'))
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.uniqueArray(image, { maxLength: 12 }), (images) => {
        const results = placed(images, 'out');
        const files = results.flatMap(({ files: each }) => Object.values(each)).map(foldName);
        expect(new Set(files).size).toBe(3 * images.length);
        expect(results.map(({ path }) => path)).toEqual(images);
        const stems = images.map((path) => /([^/]+)\.\w+$/.exec(path)?.[1] ?? '');
        for (const [i, name] of names(...images).entries())
          if (stems.filter((other) => foldName(other) === foldName(stems[i])).length === 1) expect(name).toBe(stems[i]);
      }),
    );
  });

  it('names ten thousand images of one name', () => {
    expect(names(...Array.from({ length: 10_000 }, (_, i) => `${i}/image.png`)).at(-1)).toBe('image-10000');
  });
});

const RESULT = {
  mask: Buffer.from('mask'),
  overlay: Buffer.from('overlay'),
  json: { area: 3, objects: [{ iou: 0.1 + 0.2, none: undefined }] },
};

/**
 * A folder with images of that name in it, which are asked about, and what else there is; results go beside them unless
 * told.
 */
function place(images: readonly string[], others: Readonly<Record<string, string>> = {}) {
  const { path } = folder();
  const at = (name: string): string => join(path, name);
  lay(path, { ...Object.fromEntries(images.map((name) => [name, `picture ${name}`])), ...others });
  const asked = (out: string) => placed(images.map(at), at(out));
  const everything = (): string[] => readdirSync(path, { recursive: true }).map(String).toSorted();
  return {
    at,
    everything,
    /** The refusal, of which nothing but a UsageError comes and nothing on disk changes. */
    refused: async ({ out = '.', overwrite = false } = {}): Promise<string> => {
      const before = everything();
      await expect(refuseTaken(asked(out), at(out), overwrite)).rejects.toThrow(UsageError);
      expect(everything()).toEqual(before);
      return (await refusal(refuseTaken(asked(out), at(out), overwrite))).replaceAll(`${path}/`, '');
    },
    write: async ({ out = '.', overwrite = false } = {}): Promise<void> => {
      await refuseTaken(asked(out), at(out), overwrite);
      for (const result of asked(out)) await writeFiles(result, RESULT, overwrite);
    },
    first: (out = '.') => asked(out)[0],
  };
}
const EARLIER = 'segment: expected nothing there, or the earlier result for';
const STRANGER = 'a file that it did not write, or that was changed since';
const OUT = 'way out: another --out, or --overwrite';

describe('refuseTaken', () => {
  it.each([
    ['an annotation', 'photo.json', '{"version": "5.4.1", "shapes": [], "imagePath": "photo.png"}'],
    [
      'JSON with the fields of a result',
      'photo.json',
      '{"image": "photo.png", "files": {"image": "photo.png", "mask": "0", "overlay": "0"}, "sha256": "0"}',
    ],
    ['a mask', 'photo.mask.png', 'mine'],
    ['an overlay', 'photo.overlay.png', 'mine'],
    ['an empty file', 'photo.json', ''],
  ])('refuses %s of the user’s unless it is told', async (_, name, text) => {
    const { at, refused, write } = place(['photo.png'], { [name]: text });
    expect(await refused()).toBe(`${name}  ${EARLIER} photo.png; got ${STRANGER}; ${OUT}`);
    await write({ out: 'out' });
    expect(readFileSync(at(name), 'utf8')).toBe(text);
    await write({ overwrite: true });
    await write();
  });

  it('counts several', async () => {
    const { refused } = place(['photo.png', 'b.png'], { 'photo.json': '{}', 'b.json': '{}', 'photo.mask.png': '' });
    expect(await refused()).toBe(
      `photo.mask.png  ${EARLIER} photo.png; got ${STRANGER}, and 2 more such files; ${OUT}`,
    );
  });

  it('refuses a folder whatever it is told, and a link unless it is', async () => {
    const { at, refused, write, everything } = place(['photo.png'], { 'kept.json': 'mine' });
    symlinkSync('nowhere', at('photo.json'));
    expect(await refused()).toBe(`photo.json  ${EARLIER} photo.png; got a link; ${OUT}`);
    mkdirSync(at('photo.mask.png'));
    expect(await refused({ overwrite: true })).toBe(
      `photo.mask.png  ${EARLIER} photo.png; got a folder; way out: another --out`,
    );
    expect(await refused()).toMatch(/; way out: another --out$/);
    rmSync(at('photo.mask.png'), { recursive: true });
    rmSync(at('photo.json'));
    symlinkSync('kept.json', at('photo.json'));
    expect(await refused()).toContain('got a link');
    await write({ overwrite: true });
    expect([readFileSync(at('kept.json'), 'utf8'), everything()]).toEqual([
      'mine',
      ['kept.json', 'photo.json', 'photo.mask.png', 'photo.overlay.png', 'photo.png'],
    ]);
  });

  it('refuses what is one of the images, under any name and whatever it is told', async () => {
    const { at, refused, write } = place(['photo.png', 'photo.mask.png']);
    for (const overwrite of [false, true])
      expect(await refused({ overwrite })).toContain(
        '--out: expected a folder without the images; got photo.mask.png there, which would be written over; way out: another folder',
      );
    await write({ out: 'out' });
    rmSync(at('out/photo.overlay.png'));
    linkSync(at('photo.mask.png'), at('out/photo.overlay.png'));
    expect(await refused({ out: 'out', overwrite: true })).toContain('got out/photo.overlay.png there');
    renameSync(at('out'), at('real'));
    symlinkSync('real', at('out'));
    expect(await refused({ out: 'out', overwrite: true })).toContain('got out/photo.overlay.png there');
  });

  it.each<[string, string, (at: string) => void, string]>([
    ['a file', 'out', (at) => writeFileSync(at, 'mine'), 'out, a file'],
    ['in a file', 'out/in', (at) => writeFileSync(join(at, '..'), 'mine'), 'out, a file'],
    ['a link to nothing', 'out', (at) => symlinkSync('nowhere', at), 'out, a link'],
  ])('refuses an --out that is %s', async (_, out, put, got) => {
    const { at, refused } = place(['photo.png']);
    put(at(out));
    expect(await refused({ out, overwrite: true })).toBe(
      `${out}  --out: expected a folder, or room for one; got ${got}`,
    );
  });

  it('refuses the result for another image', async () => {
    const { at, write, refused } = place(['y/photo.png'], { 'x/photo.png': 'picture' });
    const [other] = placed([at('x/photo.png')], at('out'));
    await writeFiles(other, RESULT, false);
    expect(await refused({ out: 'out' })).toBe(
      `out/photo.mask.png  ${EARLIER} y/photo.png; got the result for x/photo.png, and 2 more such files; ${OUT}`,
    );
    await write({ out: 'out', overwrite: true });
    await write({ out: 'out' });
  });

  it.each<[string, (at: (name: string) => string) => void, string]>([
    ['mask', (at) => cpSync(at('photo.png'), at('photo.mask.png')), 'photo.mask.png'],
    ['overlay', (at) => appendFileSync(at('photo.overlay.png'), 'x'), 'photo.overlay.png'],
    [
      'JSON',
      (at) => writeFileSync(at('photo.json'), readFileSync(at('photo.json'), 'utf8').replace('{', '{ "label": "dog",')),
      'photo.mask.png',
    ],
  ])('refuses a %s that the user has changed', async (_, change, named) => {
    const { at, write, refused } = place(['photo.png']);
    await write();
    change(at);
    expect(await refused()).toContain(`${named}  ${EARLIER} photo.png; got ${STRANGER}`);
  });
});

describe('writeFiles', () => {
  it('leaves files that it knows again and replaces, wherever image and results are moved together', async () => {
    const { at, write, everything } = place(['a.png', 'x/a.png']);
    for (let time = 0; time < 2; time++) await write({ out: 'out' });
    const all = [
      'a.png',
      'out',
      'out/a-2.json',
      'out/a-2.mask.png',
      'out/a-2.overlay.png',
      'out/a.json',
      'out/a.mask.png',
      'out/a.overlay.png',
      'x',
      'x/a.png',
    ];
    expect(everything()).toEqual(all);
    const moved = folder().path;
    cpSync(at('.'), moved, { recursive: true });
    const results = placed(
      ['a.png', 'x/a.png'].map((name) => join(moved, name)),
      join(moved, 'out'),
    );
    await refuseTaken(results, join(moved, 'out'), false);
  });

  it('writes over nothing that came since it was checked', async () => {
    const { at, first, write, everything } = place(['a.png']);
    await refuseTaken([first()], at('.'), false);
    writeFileSync(at('a.json'), 'mine');
    expect(await refusal(writeFiles(first(), RESULT, false))).toContain(EARLIER);
    expect([readFileSync(at('a.json'), 'utf8'), everything()]).toEqual(['mine', ['a.json', 'a.png']]);
    await write({ overwrite: true });
  });

  it.each([['JSON'], ['JSON', 'mask'], ['JSON', 'overlay']])(
    'goes on where it was killed with %s alone',
    async (...left) => {
      const { at, write, everything } = place(['photo.png']);
      await write();
      const whole = everything();
      if (!left.includes('mask')) rmSync(at('photo.mask.png'));
      if (!left.includes('overlay')) rmSync(at('photo.overlay.png'));
      writeFileSync(temporaryName(at('photo.overlay.png'), RESULT.overlay), 'over');
      await write();
      expect(everything()).toEqual(whole);
    },
  );
});

describe('withoutResults', () => {
  it('leaves out masks and overlays that were written, and nothing else that is called like them', async () => {
    const { at, write } = place(['a.png', 'b.png'], { 'c.mask.png': 'mine', 'd.overlay.png': 'mine', 'd.json': '{}' });
    await write();
    appendFileSync(at('b.mask.png'), 'changed');
    const all = [
      'a.mask.png',
      'a.overlay.png',
      'a.png',
      'b.mask.png',
      'b.overlay.png',
      'b.png',
      'c.mask.png',
      'd.overlay.png',
    ].map(at);
    expect(await withoutResults(all)).toEqual(['a.png', 'b.mask.png', 'b.png', 'c.mask.png', 'd.overlay.png'].map(at));
  });
});
