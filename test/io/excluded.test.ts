import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { listedNames, without } from '../../src/io/excluded.js';

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'excluded-'))));
afterAll(() => rmSync(folder, { recursive: true }));

const items = ['a/cat-1.jpg', 'a/cat-2.jpg', 'b/cat-1.png', 'b/dog[1].png'].map((path) => ({
  name: path.startsWith('a/') ? `0/${path.slice(2)}` : path.slice(2, -4),
  image: `/data/${path}`,
}));

describe('without', () => {
  it.each([
    [['cat-1'], [1, 3]],
    [['cat-1.jpg'], [1, 2, 3]],
    [['b/cat-1.png'], [0, 1, 3]],
    [['/data/a/cat-2.jpg'], [0, 2, 3]],
    [['0/cat-2.jpg'], [0, 2, 3]],
    [['e0/3/dog[1]'], [0, 1, 2]],
    [['CAT-?'], [3]],
    [['*.png'], [0, 1]],
    [['a/*'], [2, 3]],
    [['data*'], [0, 1, 2, 3]],
    [['dog[1]'], [0, 1, 2]],
    [['./b/cat-1.png'], [0, 1, 3]],
    [[], [0, 1, 2, 3]],
  ])('%j', (names, left) => {
    const { kept, idle } = without(items, names);
    expect(kept).toEqual(left.map((i) => items[i]));
    expect(idle).toEqual(left.length === items.length ? names : []);
  });

  it('knows an accent in either form', () => {
    const [one, other] = ['caf\u00e9', 'cafe\u0301'];
    for (const [stored, written] of [
      [one, other],
      [other, one],
    ])
      for (const name of [written, `${written}.png`, `*${written.slice(2)}*`])
        expect(without([{ name: stored, image: `/data/${stored}.png` }], [name])).toEqual({ kept: [], idle: [] });
  });

  it('says which names mean nothing', () => {
    expect(without(items, ['cat-1', 'cow', 'cow-*']).idle).toEqual(['cow', 'cow-*']);
  });
});

describe('listedNames', () => {
  const stored = (text: string): string => {
    writeFileSync(join(folder, 'list.txt'), text);
    return join(folder, 'list.txt');
  };

  it('reads a line each, and of JSON the id or the image', () => {
    const text =
      '\uFEFFcat-1\r\n\r\n# seen twice\r\n  b/dog, old.png \r\n{"id": "e0/1/x"}\n{"image_path": "a/y.png", "iou": NaN}\n';
    expect(listedNames(stored(text))).toEqual(['cat-1', 'b/dog, old.png', 'e0/1/x', 'a/y.png']);
  });

  it.each(['{"mask": "x"}', '{"id"'])('refuses %s', (line) => {
    expect(() => listedNames(stored(`a\n${line}`))).toThrow(UsageError);
    expect(() => listedNames(stored(`a\n${line}`))).toThrow(/list\.txt:2 {2}excludeFile: expected JSON with id/);
  });
});
