import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { lay } from '../io/sets/lay.js';
import { folder } from '../pipelines/files.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

function segr1(cwd: string, args: readonly string[]): Promise<{ code: unknown; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, 'prepare', ...args], { cwd }, (error, out, err) => resolve({ code: error?.code ?? 0, out, err }));
  });
}

function place(): string {
  const { path } = folder();
  lay(path, { 'DUTS/DUTS-TE/DUTS-TE-Image/a.jpg': '', 'DUTS/DUTS-TE/DUTS-TE-Image/b.jpg': '', 'DUTS/DUTS-TE/DUTS-TE-Mask/a.png': '', 'cod/x-NonCAM-1.jpg': '' });
  return path;
}

describe('segr1 prepare', () => {
  it('list: writes it, and tells images without a mask', async () => {
    const path = place();
    const { code, out, err } = await segr1(path, ['list', 'duts.jsonl', '--set', 'duts', '--root', '.']);
    expect([code, out, err]).toEqual([0, 'duts.jsonl with 1 images\n', 'DUTS/DUTS-TE/DUTS-TE-Image/b.jpg  no mask, left out\n']);
    expect(readFileSync(join(path, 'duts.jsonl'), 'utf8')).toBe('{"image_path": "DUTS/DUTS-TE/DUTS-TE-Image/a.jpg", "ground_truth": "DUTS/DUTS-TE/DUTS-TE-Mask/a.png"}\n');
    expect((await segr1(path, ['list', 'duts.jsonl', '--set', 'duts', '--root', '.'])).out).toBe('nothing to do\n');
  });

  it('with --dry-run tells what it would do', async () => {
    const path = place();
    expect((await segr1(path, ['cod10k', 'cod', '--dry-run'])).out).toBe('cod/x-NonCAM-1.jpg removed\n');
    expect(existsSync(join(path, 'cod/x-NonCAM-1.jpg'))).toBe(true);
  });

  it.each([
    ['no such folder', ['camo', 'none'], 'camo: expected a folder; got none'],
    ['a list of nothing', ['list', 'x.jsonl'], 'list: expected --set and --root, or --images and --masks; got neither'],
    ['a set that there is not', ['list', 'x.jsonl', '--set', 'voc', '--root', '.'], 'got voc and .'],
    ['another task', ['resize', '.'], 'resize'],
  ])('refuses %s', async (_, args, message) => {
    const { code, err } = await segr1(place(), args);
    expect(code).toBe(2);
    expect(err).toContain(message);
  });
});
