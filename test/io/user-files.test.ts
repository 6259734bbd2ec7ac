import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { foldName, kindAt, putFile, temporaryName } from '../../src/io/user-files.js';
import { folder, refusal } from '../pipelines/files.js';

describe('kindAt', () => {
  it('knows what is there, links not followed', () => {
    const { path, file } = folder();
    file('a', '');
    mkdirSync(join(path, 'b'));
    symlinkSync('nowhere', join(path, 'c'));
    symlinkSync('b', join(path, 'd'));
    expect(['a', 'b', 'c', 'd', 'e', 'a/b'].map((name) => kindAt(join(path, name)))).toEqual([
      'file',
      'folder',
      'link',
      'link',
      undefined,
      undefined,
    ]);
    if (existsSync('/dev/null')) expect(kindAt('/dev/null')).toBe('device');
  });
});

describe('foldName', () => {
  it.each([
    ['Photo.PNG', 'photo.png'],
    ['caf\u00e9', 'cafe\u0301'],
    ['STRASSE', 'stra\u00dfe'],
    ['\u03a3\u0399\u03a3', '\u03c3\u03b9\u03c2'],
  ])('takes %s and %s for one', (a, b) => expect(foldName(a)).toBe(foldName(b)));

  it('keeps others apart', () => expect(new Set(['a', 'b', 'a-2', 'a.2', 'a_2', '\u00e4'].map(foldName)).size).toBe(6));

  it('does nothing the second time, and does not look at case', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (name) => foldName(foldName(name)) === foldName(name)));
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme-ascii' }),
        (name) => foldName(name.toUpperCase()) === foldName(name.toLowerCase()),
      ),
    );
  });
});

describe('putFile', () => {
  it.each([false, true])('leaves the file and nothing beside it (lasting: %s)', async (lasting) => {
    const { path, file } = folder();
    file('a.partial', 'mine');
    await putFile(join(path, 'a'), 'one', { lasting });
    await putFile(join(path, 'a'), Uint8Array.of(50), { lasting });
    expect([readFileSync(join(path, 'a'), 'utf8'), readdirSync(path)]).toEqual(['2', ['a', 'a.partial']]);
  });

  it('takes up what it left when it was killed', async () => {
    const { path } = folder();
    writeFileSync(temporaryName(join(path, 'a'), 'whole'), 'who');
    await putFile(join(path, 'a'), 'whole');
    expect([readFileSync(join(path, 'a'), 'utf8'), readdirSync(path)]).toEqual(['whole', ['a']]);
  });

  it('has another temporary name for another file, and for other bytes', () => {
    expect(
      new Set([
        temporaryName('x/a', 'b'),
        temporaryName('x/a', 'c'),
        temporaryName('x/b', 'b'),
        temporaryName('x/ab', ''),
      ]).size,
    ).toBe(4);
  });

  it('names the file where it cannot, and leaves nothing behind', async () => {
    const { path } = folder();
    mkdirSync(join(path, 'a'));
    expect(await refusal(putFile(join(path, 'a'), 'x'))).toMatch(
      /^a {2}writing a file: expected a folder with room for it; got E/,
    );
    expect(readdirSync(path)).toEqual(['a']);
  });
});
