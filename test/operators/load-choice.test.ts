import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { lastValueFrom, toArray } from 'rxjs';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { imageReader } from '../../src/io/reader.js';
import { countRows, load, loadNotices, type LoadOptions } from '../../src/operators/load.js';
import { credits, released } from '../../src/streams/credits.js';

let root: string;
let bytes: Buffer;
const at = (...path: string[]): string => join(root, ...path);
const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `n${from + i}.png`);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'segr1-choice-'));
  const create = { width: 4, height: 4, channels: 3 as const, background: '#fff' };
  bytes = await sharp({ create }).png().toBuffer();
  lay('one/images', numbers(0, 40));
  lay('two/images', numbers(20, 40));
  lay('two/images', ['notes.txt', 'a.HEIC', 'b.heic', 'README', '.hidden']);
  mkdirSync(at('two/images/more'));
});
afterAll(() => rmSync(root, { recursive: true }));

function lay(folder: string, names: readonly string[]): void {
  mkdirSync(at(folder), { recursive: true });
  for (const name of names) writeFileSync(at(folder, name), bytes);
}

const names = async (options: Partial<LoadOptions>): Promise<[string, string | undefined][]> => {
  const window = credits(4);
  const all = { images: at('one/images'), frame: 4, shuffle: false, ...options };
  const rows = load({ readImage: imageReader(), window }, all).pipe(released(window), toArray());
  return (await lastValueFrom(rows)).map(({ id, set }) => [id.split('/').slice(2).join('/'), set]);
};
const ids = async (options: Partial<LoadOptions>): Promise<string[]> => (await names(options)).map(([name]) => name);

describe('part', () => {
  it('shares a folder without overlap, by its own seed', async () => {
    const [train, rest] = [await ids({ part: { to: 0.75 } }), await ids({ part: { from: 0.75 } })];
    expect([...train, ...rest].toSorted()).toEqual((await ids({})).toSorted());
    expect(train.length).toBeGreaterThan(20);
    expect(rest.length).toBeGreaterThan(2);
    expect(await ids({ part: { to: 0.75 }, seed: 3 })).toEqual(train);
    expect(await ids({ part: { to: 0.75, seed: 1 } })).not.toEqual(train);
    expect(countRows({ images: at('one/images'), part: { to: 0.75 } })).toBe(train.length);
  });

  it('moves nothing when images join or leave, and keeps those of one name together', async () => {
    const before = await ids({ part: { to: 0.5 } });
    lay('three', numbers(0, 60));
    const after = await ids({ images: at('three'), part: { to: 0.5 } });
    expect(after.filter((name) => Number(name.slice(1)) < 40)).toEqual(before);
    const both = await ids({ images: [at('one/images'), at('two/images')], part: { to: 0.5 } });
    const twice = both.filter((name) => name.startsWith('1/')).map((name) => name.slice(2, -4));
    expect(twice).toEqual(before.filter((name) => Number(name.slice(1)) >= 20));
  });

  it.each([
    [{ part: { from: 0.5, to: 0.5 } }, 'expected from to be less than to'],
    [{ part: { to: 1e-9 } }, 'part: expected images from 0 to 1e-9; got none of 40'],
    [{ exclude: 'n*' }, 'exclude: expected images that are left; got none of 40'],
    [{ images: undefined, scenes: { count: 1 }, part: {} }, 'expected images or a set beside part; got scenes'],
    [{ name: ['a', 'b'] }, 'expected one name, or one for each of 1 folders of images; got 2'],
  ] as const)('%j is refused', (options, message) => {
    expect(() => countRows({ images: at('one/images'), ...options } as LoadOptions)).toThrow(message);
  });
});

describe('exclude', () => {
  it('leaves out what it names, before limit', async () => {
    writeFileSync(at('bad.txt'), '\uFEFFn2.png\r\nn3\r\n');
    const options = { exclude: ['n0', 'n1?'], excludeFile: at('bad.txt'), limit: 4 };
    expect(await ids(options)).toEqual(['n1', 'n20', 'n21', 'n22']);
  });

  it('needs a file that is there', () => {
    expect(() => countRows({ images: at('one/images'), excludeFile: at('none.txt') })).toThrow(UsageError);
  });
});

describe('name', () => {
  it('is that of the folder, of each where there are several', async () => {
    const sets = new Map(await names({ images: [at('one/images'), at('two/images')], limit: 60 }));
    const [one, two] = ['one', 'two'].map((name) => `${name}/images`);
    expect([sets.get('n0'), sets.get('0/n20.png'), sets.get('1/n20.png')]).toEqual([one, one, two]);
  });

  it('is what is given', async () => {
    const images = [at('one/images'), at('two/images')];
    expect(new Set((await names({ images, name: 'pets' })).map(([, set]) => set))).toEqual(new Set(['pets']));
    expect(new Set((await names({ images, name: ['a', 'b'] })).map(([, set]) => set))).toEqual(new Set(['a', 'b']));
    const drawn = { images: undefined, scenes: { count: 1 }, frame: 64 } as const;
    expect((await names(drawn)).map(([, set]) => set)).toEqual(['scenes/pick']);
  });
});

describe('loadNotices', () => {
  it('counts what is left out by extension, and names that mean nothing', () => {
    const images = [at('one/images'), at('two/images')];
    expect(loadNotices({ images, exclude: ['n1', 'typo'] })).toEqual([
      `${at('two/images')}: left out 2 .heic, 1 .txt, 1 without an extension, 1 folder`,
      'exclude: 1 name means no image: "typo"',
    ]);
    expect(loadNotices({ images: at('one/images') })).toEqual([]);
  });
});
