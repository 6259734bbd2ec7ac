import { execFile, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

import { jpegSteps } from '../../src/io/prepare/jpeg.js';
import { lay, picture } from '../io/sets/lay.js';
import { folder } from '../pipelines/files.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

function segr1(cwd: string, args: readonly string[]): Promise<{ code: unknown; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, 'prepare', ...args], { cwd }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

function place(): string {
  const { path } = folder();
  lay(path, {
    'DUTS/DUTS-TE/DUTS-TE-Image/a.jpg': '',
    'DUTS/DUTS-TE/DUTS-TE-Image/b.jpg': '',
    'DUTS/DUTS-TE/DUTS-TE-Mask/a.png': '',
    'cod/x-NonCAM-1.jpg': '',
  });
  return path;
}

describe('segr1 prepare', () => {
  it('list: writes it, and tells images without a mask', async () => {
    const path = place();
    const { code, out, err } = await segr1(path, ['list', 'duts.jsonl', '--set', 'duts', '--root', '.']);
    expect([code, out, err]).toEqual([
      0,
      'duts.jsonl with 1 images\n',
      'DUTS/DUTS-TE/DUTS-TE-Image/b.jpg  no mask, skipped\n',
    ]);
    expect(readFileSync(join(path, 'duts.jsonl'), 'utf8')).toBe(
      '{"image_path": "DUTS/DUTS-TE/DUTS-TE-Image/a.jpg", "ground_truth": "DUTS/DUTS-TE/DUTS-TE-Mask/a.png"}\n',
    );
    expect((await segr1(path, ['list', 'duts.jsonl', '--set', 'duts', '--root', '.'])).out).toBe('nothing to do\n');
  });

  it('with --dry-run tells what it would do', async () => {
    const path = place();
    expect((await segr1(path, ['cod10k', 'cod', '--dry-run'])).out).toBe('cod/x-NonCAM-1.jpg removed\n');
    expect(existsSync(join(path, 'cod/x-NonCAM-1.jpg'))).toBe(true);
  });

  it('list: puts it in the place of another file only where it is told to', async () => {
    const path = place();
    writeFileSync(join(path, 'duts.jsonl'), 'mine\n');
    const args = ['list', 'duts.jsonl', '--set', 'duts', '--root', '.'];
    const { code, out, err } = await segr1(path, args);
    expect([code, out, err.trim()]).toEqual([
      2,
      '',
      'duts.jsonl  list: expected nothing there, or the same list; got another file; way out: another name, or --overwrite',
    ]);
    expect(readFileSync(join(path, 'duts.jsonl'), 'utf8')).toBe('mine\n');
    expect((await segr1(path, [...args, '--overwrite'])).code).toBe(0);
    expect(readFileSync(join(path, 'duts.jsonl'), 'utf8')).toContain('image_path');
  });

  it('jpeg --replace: keeps masks beside photographs, and does nothing else either', async () => {
    const { path } = folder();
    const png = await picture(9, 7);
    lay(path, { 'Imgs/0.png': png, 'Imgs/1.jpg': await sharp(png).negate().jpeg().toBuffer(), 'Imgs/1.png': png });
    for (const more of [[], ['--dry-run']]) {
      const { code, out, err } = await segr1(path, ['jpeg', 'Imgs', '--replace', ...more]);
      expect([code, out, err.trim()]).toEqual([
        2,
        '',
        'Imgs/1.png  jpeg: expected Imgs/1.jpg to be made of it, before it is removed; got another file; way out: leave out --replace, or move one of them elsewhere',
      ]);
    }
    expect(readdirSync(join(path, 'Imgs'))).toEqual(['0.png', '1.jpg', '1.png']);
  });

  it('jpeg --replace: goes on where it was killed', async () => {
    const { path } = folder();
    const noisy = await sharp({
      create: {
        width: 300,
        height: 200,
        channels: 3,
        background: 'red',
        noise: { type: 'gaussian', mean: 99, sigma: 40 },
      },
    })
      .png()
      .toBuffer();
    const names = Array.from({ length: 40 }, (_, i) => `${i}`.padStart(2, '0'));
    for (const at of ['whole', 'killed'])
      lay(path, Object.fromEntries(names.map((name) => [`${at}/${name}.png`, noisy])));
    for (const step of await jpegSteps(join(path, 'whole'), { replace: true })) await step.run();

    for (const steps of [3, 9]) {
      const child = spawn(process.execPath, [CLI, 'prepare', 'jpeg', 'killed', '--replace'], { cwd: path });
      let lines = 0;
      child.stdout.on('data', (text: Buffer) => {
        lines += text.toString().split('\n').length - 1;
        if (lines >= steps) child.kill('SIGKILL');
      });
      await new Promise((resolve) => child.on('close', resolve));
      const left = readdirSync(join(path, 'killed'));
      for (const name of names)
        expect(left.some((file) => file === `${name}.png` || file === `${name}.jpg`)).toBe(true);
      expect(left.some((file) => file.endsWith('.png'))).toBe(true);
    }
    expect((await segr1(path, ['jpeg', 'killed', '--replace'])).code).toBe(0);
    expect(readdirSync(join(path, 'killed'))).toEqual(readdirSync(join(path, 'whole')));
    for (const file of readdirSync(join(path, 'whole')))
      expect(readFileSync(join(path, 'killed', file)).equals(readFileSync(join(path, 'whole', file)))).toBe(true);
    expect((await segr1(path, ['jpeg', 'killed', '--replace'])).out).toBe('nothing to do\n');
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
