import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { replaceWhole } from '../../src/io/whole-folder.js';
import { folder } from '../pipelines/files.js';

const put =
  (text: string) =>
  async (fresh: string): Promise<void> =>
    writeFileSync(join(fresh, 'x'), text);

describe('replaceWhole', () => {
  it('makes the folder, its parents too, with what was put there and nothing else', async () => {
    const { path } = folder();
    await replaceWhole(join(path, 'in/m'), put('new'));
    expect([
      readdirSync(join(path, 'in')),
      readdirSync(join(path, 'in/m')),
      readFileSync(join(path, 'in/m/x'), 'utf8'),
    ]).toEqual([['m'], ['x'], 'new']);
  });

  it('takes the place of the older one once it is whole', async () => {
    const { path } = folder();
    const dir = join(path, 'm');
    await replaceWhole(dir, put('old'));
    await replaceWhole(dir, async (fresh) => {
      expect(readFileSync(join(dir, 'x'), 'utf8')).toBe('old');
      await put('new')(fresh);
    });
    expect([readdirSync(path), readFileSync(join(dir, 'x'), 'utf8')]).toEqual([['m'], 'new']);
  });

  it.each<[string, (at: string) => void]>([
    ['a folder', (at) => [mkdirSync(at), writeFileSync(join(at, 'precious'), 'x')]],
    ['an empty folder', (at) => mkdirSync(at)],
    ['a file', (at) => writeFileSync(at, 'x')],
    ['a link to nothing', (at) => symlinkSync('nowhere', at)],
  ])('leaves what is the user’s and called as it calls its own: %s', async (_, make) => {
    const { path } = folder();
    make(join(path, 'm.partial'));
    make(join(path, 'm.partial-2'));
    await replaceWhole(join(path, 'm'), put('new'));
    expect(readdirSync(path).toSorted()).toEqual(['m', 'm.partial', 'm.partial-2']);
    if (existsSync(join(path, 'm.partial/precious')))
      expect(readFileSync(join(path, 'm.partial/precious'), 'utf8')).toBe('x');
  });

  it('removes what it left when it was killed', async () => {
    const { path } = folder();
    const killed = new Error('killed');
    let left = '';
    await expect(
      replaceWhole(join(path, 'm'), async (fresh) => {
        left = readdirSync(fresh)[0] ?? '';
        throw killed;
      }),
    ).rejects.toBe(killed);
    expect(readdirSync(path)).toEqual([]);

    mkdirSync(join(path, 'm.partial'));
    for (const name of [left, 'half']) writeFileSync(join(path, 'm.partial', name), '');
    await replaceWhole(join(path, 'm'), put('new'));
    expect([readdirSync(path), readdirSync(join(path, 'm'))]).toEqual([['m'], ['x']]);
  });
});
