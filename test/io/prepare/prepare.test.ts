import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { DataError, UsageError } from '../../../src/errors.js';
import { camoSteps, nonCamSteps } from '../../../src/io/prepare/cod.js';
import { listSteps } from '../../../src/io/prepare/list.js';
import type { Step } from '../../../src/io/prepare/step.js';
import { lay } from '../sets/lay.js';

let root: string;
const at = (path: string): string => join(root, path);
const files = (): string[] =>
  readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted();
async function all(steps: readonly Step[]): Promise<void> {
  for (const step of steps) await step.run();
}
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-prepare-'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('nonCamSteps', () => {
  it('removes what has no camouflaged object', async () => {
    lay(root, {
      'Test/Image/COD10K-CAM-1.jpg': '',
      'Test/Image/COD10K-NonCAM-2.jpg': '',
      'Test/GT_Object/COD10K-NonCAM-2.png': '',
    });
    await all(nonCamSteps(root));
    expect(files()).toEqual(['Test/Image/COD10K-CAM-1.jpg']);
    expect(nonCamSteps(root)).toEqual([]);
  });

  it('keeps lists and annotations of all scenes, as COD10K-v3 names them', async () => {
    lay(root, {
      'Train/CAM-NonCAM_Instance_Train.txt': 'x',
      'Info/NonCAM_train.txt': 'x',
      'Test/my-NonCAM-notes.md': 'x',
      'Train/GT_Edge/COD10K-NonCAM-3.PNG': '',
    });
    await all(nonCamSteps(root));
    expect(files()).toEqual([
      'Info/NonCAM_train.txt',
      'Test/my-NonCAM-notes.md',
      'Train/CAM-NonCAM_Instance_Train.txt',
    ]);
  });
});

describe('camoSteps', () => {
  it('moves masks by the parts that images are in, and goes on where it was', async () => {
    lay(root, {
      'Images/Train/a.jpg': '',
      'Images/Test/b.jpg': '',
      'GT/a.png': 'a',
      'GT/b.png': 'b',
      'GT/of-none.png': '',
    });
    const steps = camoSteps(root);
    expect(steps.map(({ text }) => text)).toEqual([
      `${at('GT/a.png')} -> ${at('GT/Train/a.png')}`,
      `${at('GT/b.png')} -> ${at('GT/Test/b.png')}`,
    ]);
    await steps[0]?.run();
    await all(camoSteps(root));
    expect(files().filter((path) => path.startsWith('GT'))).toEqual([
      'GT/Test/b.png',
      'GT/Train/a.png',
      'GT/of-none.png',
    ]);
  });

  it('refuses a name in both parts, and a mask that is there already', () => {
    lay(root, { 'Images/Train/a.jpg': '', 'Images/Test/c.jpg': '', 'GT/a.png': '', 'GT/Train/a.png': '' });
    expect(() => camoSteps(root)).toThrow('expected no mask of its name in GT/Train; got one');
    lay(root, { 'Images/Test/a.jpg': '' });
    expect(() => camoSteps(root)).toThrow('got a in both');
  });

  it('writes over no link, and over no mask that came meanwhile', async () => {
    lay(root, { 'Images/Train/a.jpg': '', 'Images/Test/c.jpg': '', 'GT/a.png': 'new', 'GT/Train/b.png': '' });
    const [step] = camoSteps(root);
    writeFileSync(at('GT/Train/a.png'), 'old');
    await expect(step?.run()).rejects.toThrow(DataError);
    expect([readFileSync(at('GT/a.png'), 'utf8'), readFileSync(at('GT/Train/a.png'), 'utf8')]).toEqual(['new', 'old']);
    rmSync(at('GT/Train/a.png'));
    symlinkSync('nowhere', at('GT/Train/a.png'));
    expect(() => camoSteps(root)).toThrow('expected no mask of its name in GT/Train; got one');
  });
});

describe('listSteps', () => {
  it('writes relative paths, sorted, tells what has no mask, and does it once', async () => {
    const pairs = [
      { name: 'b', image: at('im/b.jpg'), mask: at('gt/b.png') },
      { name: 'c', image: at('im/c.jpg') },
      { name: 'a', image: at('im/a.jpg'), mask: at('gt/a.png'), instruction: 'x' },
    ];
    const { steps, skipped } = listSteps(at('list.jsonl'), pairs);
    expect(existsSync(at('list.jsonl'))).toBe(false);
    await all(steps);
    expect(readFileSync(at('list.jsonl'), 'utf8')).toBe(
      '{"image_path": "im/a.jpg", "ground_truth": "gt/a.png", "instruction": "x"}\n{"image_path": "im/b.jpg", "ground_truth": "gt/b.png"}\n',
    );
    expect([skipped, listSteps(at('list.jsonl'), pairs).steps]).toEqual([[at('im/c.jpg')], []]);
  });

  describe('where something is in its place', () => {
    const pairs = (): { name: string; image: string; mask: string }[] => [
      { name: 'a', image: at('im/a.jpg'), mask: at('gt/a.png') },
    ];

    it.each([
      [
        'another list',
        () => writeFileSync(at('list.jsonl'), '{"image_path": "mine.jpg"}\n'),
        'list.jsonl  list: expected nothing there, or the same list; got another file; way out: another name, or --overwrite',
      ],
      [
        'a link to nothing',
        () => symlinkSync('nowhere', at('list.jsonl')),
        'list: expected nothing there, or the same list; got another link; way out: another name, or --overwrite',
      ],
    ])('refuses %s unless it is told', async (_, put, message) => {
      put();
      expect(() => listSteps(at('list.jsonl'), pairs())).toThrow(UsageError);
      expect(() => listSteps(at('list.jsonl'), pairs())).toThrow(message);
      await all(listSteps(at('list.jsonl'), pairs(), { overwrite: true }).steps);
      expect(readFileSync(at('list.jsonl'), 'utf8')).toBe('{"image_path": "im/a.jpg", "ground_truth": "gt/a.png"}\n');
    });

    it('refuses a folder, and an image or mask, whatever it is told', () => {
      mkdirSync(at('list.jsonl'));
      expect(() => listSteps(at('list.jsonl'), pairs(), { overwrite: true })).toThrow(
        'got another folder; way out: another name',
      );
      lay(root, { 'im/a.jpg': 'x' });
      expect(() => listSteps(at('im/a.jpg'), pairs(), { overwrite: true })).toThrow(
        'im/a.jpg  list: expected a file of its own; got one of the images or masks',
      );
    });

    it('touches no file called .partial', async () => {
      writeFileSync(at('list.jsonl.partial'), 'mine');
      await all(listSteps(at('list.jsonl'), pairs()).steps);
      expect([files(), readFileSync(at('list.jsonl.partial'), 'utf8')]).toEqual([
        ['list.jsonl', 'list.jsonl.partial'],
        'mine',
      ]);
    });
  });

  it('refuses images without any mask', () => {
    expect(() => listSteps(at('list.jsonl'), [{ name: 'a', image: 'a.jpg' }])).toThrow(
      'expected images with masks; got 1 images and no mask',
    );
  });
});
