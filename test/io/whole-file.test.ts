import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { replaceJson } from '../../src/io/manifest.js';
import { writeWhole } from '../../src/io/whole-file.js';
import { folder, refusal } from '../pipelines/files.js';

describe('writeWhole', () => {
  it('puts a file in the place of another', () => {
    const { path, file } = folder();
    const name = file('a', 'old');
    writeWhole(name, 'new');
    expect([readFileSync(name, 'utf8'), readdirSync(path)]).toEqual(['new', ['a']]);
  });

  it('names the file where it cannot, and leaves nothing behind', async () => {
    const { path } = folder();
    mkdirSync(join(path, 'a'));
    const message = await refusal((async () => writeWhole(join(path, 'a'), ''))());
    expect(message).toMatch(/^a {2}writing a file: expected a folder with room for it; got E/);
    expect(readdirSync(path)).toEqual(['a']);
  });
});

describe('replaceJson', () => {
  it.skipIf(!existsSync('/dev/full'))(
    'names the file, which the system does not where the disk is full (where there is /dev/full)',
    async () => {
      const { path } = folder();
      symlinkSync('/dev/full', join(path, 'a.partial'));
      expect(await refusal(replaceJson(join(path, 'a'), {}))).toBe(
        'a  writing a file: expected a folder with room for it; got ENOSPC: no space left on device, write',
      );
    },
  );
});
