import { describe, expect, it } from 'vitest';

import { fittingStem } from '../../src/io/file-name.js';
import { folderName, folderNames } from '../../src/io/folder-name.js';

describe('folderName', () => {
  it.each([
    ['/data/cats', 'cats'],
    ['/data/cats/', 'cats'],
    ['/home/me/photos/images', 'me/photos/images'],
    ['/sets/COD10K/Test/Image', 'COD10K/Test/Image'],
    ['/data/images', 'data/images'],
    ['/', '/'],
  ])('%s is %s', (path, name) => {
    expect(folderName(path)).toBe(name);
  });

  it('tells folders of one name apart, and leaves the others', () => {
    expect(folderNames(['/a/one/cats', '/a/two/cats', '/a/dogs'])).toEqual(['one/cats', 'two/cats', 'dogs']);
    expect(folderNames(['/a/x/cats', '/b/x/cats'])).toEqual(['a/x/cats', 'b/x/cats']);
    expect(folderNames(['/a/cats', '/a/cats'])).toEqual(['cats', 'cats']);
  });
});

describe('fittingStem', () => {
  it('keeps what fits, and cuts at whole letters', () => {
    expect(fittingStem('n'.repeat(251), '.png')).toBe('n'.repeat(251));
    const cut = fittingStem('語'.repeat(90), '.png');
    expect(cut).toMatch(/^語{78}-[0-9a-f]{16}$/);
    expect(fittingStem(`${'語'.repeat(89)}文`, '.png')).not.toBe(cut);
  });
});
