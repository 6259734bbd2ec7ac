import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { freeFolder, refuseReadOnly } from '../../src/cli/free-folder.js';
import { folder } from '../pipelines/files.js';

const may = process.getuid?.() === 0 ? ', left out for root, who may write anywhere' : '';

describe('freeFolder', () => {
  it('is new, or empty', () => {
    const { path } = folder();
    mkdirSync(join(path, 'empty'));
    expect(['empty', 'new', 'deep/new'].map((name) => freeFolder(join(path, name), 'out'))).toEqual(
      ['empty', 'new', 'deep/new'].map((name) => join(path, name)),
    );
  });

  it('refuses files, and folders with files', () => {
    const { path, file } = folder();
    const taken = file('taken.txt', '');
    expect(() => freeFolder(taken, 'out')).toThrow('--out: expected a new or empty folder; got a file');
    expect(() => freeFolder(path, 'out')).toThrow('--out: expected a new or empty folder; got one with files in it');
  });

  it.skipIf(may !== '')(`refuses what can't be written to, also where it would have to be made${may}`, () => {
    const { path } = folder();
    chmodSync(path, 0o555);
    for (const name of ['new', 'deep/new', '.'])
      expect(() => refuseReadOnly(join(path, name), 'out')).toThrow(
        '--out: expected a folder that can be written to; got EACCES: permission denied',
      );
    chmodSync(path, 0o755);
  });
});
