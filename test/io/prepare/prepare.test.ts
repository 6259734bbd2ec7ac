import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { DataError, UsageError } from '../../../src/errors.js';
import { camoSteps, nonCamSteps } from '../../../src/io/prepare/cod.js';
import { fitted, jpegSteps } from '../../../src/io/prepare/jpeg.js';
import { listSteps } from '../../../src/io/prepare/list.js';
import type { Step } from '../../../src/io/prepare/step.js';
import { lay, picture } from '../sets/lay.js';

let root: string;
const at = (path: string): string => join(root, path);
const files = (): string[] => readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)).toSorted();
async function all(steps: readonly Step[]): Promise<void> {
  for (const step of steps) await step.run();
}
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-prepare-'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('jpegSteps', () => {
  it('writes a JPEG beside each picture, in folders too, and knows what is done', async () => {
    lay(root, { 'a.png': await picture(8, 6), 'in/b.webp': await sharp(await picture(5, 4)).webp().toBuffer(), 'c.jpg': await sharp(await picture(3, 3)).jpeg().toBuffer(), 'notes.txt': 'x' });
    const steps = await jpegSteps(root);
    expect(steps.map(({ text }) => text)).toEqual([`${at('a.png')} -> ${at('a.jpg')}`, `${at('in/b.webp')} -> ${at('in/b.jpg')}`]);
    expect(files()).toEqual(['a.png', 'c.jpg', 'in/b.webp', 'notes.txt']);

    await steps[0]?.run();
    expect(await jpegSteps(root)).toHaveLength(1);
    await all(await jpegSteps(root));
    expect(await jpegSteps(root)).toEqual([]);
    expect(await sharp(at('in/b.jpg')).metadata()).toMatchObject({ format: 'jpeg', width: 5, height: 4, channels: 3 });
  });

  it('removes pictures only where it is told to, and only for their own JPEG', async () => {
    lay(root, { 'a.png': await picture(8, 6), 'b.png': await picture(8, 6), 'b.jpg': await sharp(await picture(9, 9)).jpeg().toBuffer() });
    const [first, second] = await jpegSteps(root, { replace: true });
    await first?.run();
    await expect(second?.run()).rejects.toThrow('b.jpg  jpeg: expected 8x6, made of the picture beside it; got 9x9');
    expect(files()).toEqual(['a.jpg', 'b.jpg', 'b.png']);
  });

  it('leaves nothing of a picture that is cut off', async () => {
    lay(root, { 'a.png': (await sharp({ create: { width: 90, height: 90, channels: 3, background: 'red', noise: { type: 'gaussian', mean: 99, sigma: 40 } } }).png().toBuffer()).subarray(0, 4000) });
    await expect(all(await jpegSteps(root, { replace: true }))).rejects.toThrow(DataError);
    expect(files()).toEqual(['a.png']);
  });

  it.each([
    [{ width: 9459, height: 9459 }, { width: 9459, height: 9459 }],
    [{ width: 10_000, height: 9000 }, { width: 4096, height: 3686 }],
    [{ width: 2, height: 89_478_485 }, { width: 1, height: 4096 }],
  ])('makes smaller what has too many pixels: %o', (size, wanted) => expect(fitted(size)).toEqual(wanted));

  it('refuses two pictures of one name, and no folder', async () => {
    lay(root, { 'a.png': '', 'a.webp': '' });
    await expect(jpegSteps(root)).rejects.toThrow(UsageError);
    await expect(jpegSteps(at('none'))).rejects.toThrow('jpeg: expected a folder; got none');
  });
});

describe('nonCamSteps', () => {
  it('removes what has no camouflaged object', async () => {
    lay(root, { 'Test/Image/COD10K-CAM-1.jpg': '', 'Test/Image/COD10K-NonCAM-2.jpg': '', 'Test/GT_Object/COD10K-NonCAM-2.png': '' });
    await all(nonCamSteps(root));
    expect(files()).toEqual(['Test/Image/COD10K-CAM-1.jpg']);
    expect(nonCamSteps(root)).toEqual([]);
  });
});

describe('camoSteps', () => {
  it('moves masks by the parts that images are in, and goes on where it was', async () => {
    lay(root, { 'Images/Train/a.jpg': '', 'Images/Test/b.jpg': '', 'GT/a.png': 'a', 'GT/b.png': 'b', 'GT/of-none.png': '' });
    const steps = camoSteps(root);
    expect(steps.map(({ text }) => text)).toEqual([`${at('GT/a.png')} -> ${at('GT/Train/a.png')}`, `${at('GT/b.png')} -> ${at('GT/Test/b.png')}`]);
    await steps[0]?.run();
    await all(camoSteps(root));
    expect(files().filter((path) => path.startsWith('GT'))).toEqual(['GT/Test/b.png', 'GT/Train/a.png', 'GT/of-none.png']);
  });

  it('refuses a name in both parts, and a mask that is there already', () => {
    lay(root, { 'Images/Train/a.jpg': '', 'Images/Test/c.jpg': '', 'GT/a.png': '', 'GT/Train/a.png': '' });
    expect(() => camoSteps(root)).toThrow('expected no mask of its name in GT/Train; got one');
    lay(root, { 'Images/Test/a.jpg': '' });
    expect(() => camoSteps(root)).toThrow('got a in both');
  });
});

describe('listSteps', () => {
  it('writes relative paths, sorted, tells what has no mask, and does it once', async () => {
    const pairs = [{ name: 'b', image: at('im/b.jpg'), mask: at('gt/b.png') }, { name: 'c', image: at('im/c.jpg') }, { name: 'a', image: at('im/a.jpg'), mask: at('gt/a.png'), instruction: 'x' }];
    const { steps, skipped } = listSteps(at('list.jsonl'), pairs);
    expect(existsSync(at('list.jsonl'))).toBe(false);
    await all(steps);
    expect(readFileSync(at('list.jsonl'), 'utf8')).toBe('{"image_path": "im/a.jpg", "ground_truth": "gt/a.png", "instruction": "x"}\n{"image_path": "im/b.jpg", "ground_truth": "gt/b.png"}\n');
    expect([skipped, listSteps(at('list.jsonl'), pairs).steps]).toEqual([[at('im/c.jpg')], []]);
  });

  it('refuses images without any mask', () => {
    expect(() => listSteps(at('list.jsonl'), [{ name: 'a', image: 'a.jpg' }])).toThrow('expected images with masks; got 1 images and no mask');
  });
});
