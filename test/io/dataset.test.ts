import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { findImages, findPairs } from '../../src/io/dataset.js';

let root: string;
const at = (path: string): string => join(root, path);

/** Empty files, and folders where a name ends in '/'. */
function lay(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(path.endsWith('/') ? at(path) : dirname(at(path)), { recursive: true });
    if (!path.endsWith('/')) writeFileSync(at(path), '');
  }
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-dataset-'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('findPairs', () => {
  it('pairs by base name, in order of name, and lists images without a mask apart', () => {
    lay(
      'im/b.jpg',
      'im/a.JPEG',
      'im/c.png',
      'im/notes.txt',
      'im/.hidden.png',
      'im/inner/d.jpg',
      'gt/a.png',
      'gt/b.png',
      'gt/z.png',
    );
    const { all, unmatched, repeated } = findPairs({ images: at('im'), masks: at('gt') });
    expect(all).toEqual([
      { name: 'a', image: at('im/a.JPEG'), mask: at('gt/a.png') },
      { name: 'b', image: at('im/b.jpg'), mask: at('gt/b.png') },
      { name: 'c', image: at('im/c.png') },
    ]);
    expect(unmatched).toEqual([all[2]]);
    expect(repeated).toBe(0);
  });

  it('pairs accents in one form with those in the other, as macOS writes them', () => {
    lay('im/caf\u00e9.jpg', 'im/u\u0308.jpg', 'gt/cafe\u0301.png', 'gt/\u00fc.png');
    expect(findPairs({ images: at('im'), masks: at('gt') }).all.map(({ mask }) => mask)).toEqual([
      at('gt/cafe\u0301.png'),
      at('gt/\u00fc.png'),
    ]);
  });

  it('takes the first mask folder that has one, and .png before other extensions', () => {
    lay('im/a.jpg', 'im/b.jpg', 'one/a.jpg', 'one/a.png', 'two/a.png', 'two/b.webp', 'two/b.tif');
    const { all } = findPairs({ images: at('im'), masks: [at('one'), at('two')] });
    expect(all.map(({ mask }) => mask)).toEqual([at('one/a.png'), at('two/b.webp')]);
  });

  it('keeps images of one name from several folders, with names of their own, and counts them', () => {
    lay('one/a.jpg', 'one/b.jpg', 'two/a.jpg', 'two/a.png', 'gt/a.png', 'gt/b.png');
    const { all, repeated } = findPairs({ images: [at('two'), at('one')], masks: at('gt') });
    expect(all.map(({ name }) => name)).toEqual(['0/a.jpg', '0/a.png', '1/a.jpg', 'b']);
    expect(repeated).toBe(3);
  });

  it('takes only images that fit the pattern', () => {
    lay('im/cam-1.jpg', 'im/CAM-2.jpg', 'im/other (1).jpg', 'gt/cam-1.png', 'gt/CAM-2.png');
    expect(findPairs({ images: at('im'), masks: at('gt'), pattern: 'cam-?.*' }).all.map(({ name }) => name)).toEqual([
      'CAM-2',
      'cam-1',
    ]);
    expect(findImages({ images: at('im'), pattern: 'other (?).jpg' }).all).toHaveLength(1);
  });

  it('takes images and masks from one folder where a pattern tells them apart', () => {
    lay('both/a.jpg', 'both/a.png');
    expect(findPairs({ images: at('both'), masks: at('both'), pattern: '*.jpg' }).all).toEqual([
      { name: 'a', image: at('both/a.jpg'), mask: at('both/a.png') },
    ]);
  });

  it.each([
    ['a missing image folder', ['gt/a.png'], 'images  ROOT/im: expected a folder of images; got nothing there'],
    ['a missing mask folder', ['im/a.jpg'], 'masks  ROOT/gt: expected a folder of masks; got nothing there'],
    ['a file for a folder', ['im', 'gt/a.png'], 'images  ROOT/im: expected a folder of images; got a file'],
    ['a folder without images', ['im/', 'im/a.txt', 'gt/a.png'], 'images  ROOT/im: expected files named *.png *.jpg'],
    ['a folder without masks', ['im/a.jpg', 'gt/'], 'masks  ROOT/gt: expected files named *.png *.jpg'],
    [
      'no image with a mask',
      ['im/a.jpg', 'im/b.jpg', 'gt/c.png'],
      'masks: expected a mask named as an image, such as a.png; got none for 2 images in ROOT/gt',
    ],
  ])('refuses %s', (_, paths, message) => {
    lay(...paths);
    const run = (): unknown => findPairs({ images: at('im'), masks: at('gt') });
    expect(run).toThrow(UsageError);
    expect(run).toThrow(message.replaceAll('ROOT', root));
  });

  it('refuses one folder for both, and a pattern that nothing fits', () => {
    lay('im/a.jpg', 'gt/a.png');
    expect(() => findPairs({ images: at('im'), masks: at('im/') })).toThrow(
      `masks: expected other folders than the images', or a pattern that tells images from masks; got ${at('im')} for both`,
    );
    expect(() => findPairs({ images: at('im'), masks: at('gt'), pattern: '*.png' })).toThrow(
      `images  ${at('im')}: expected file names such as *.png; got none`,
    );
  });
});
