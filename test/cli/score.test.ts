import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

import { ascii } from '../ascii.js';
import { folder } from '../pipelines/files.js';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

function segr1(cwd: string, args: readonly string[]): Promise<{ code: unknown; out: string; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, ...args], { cwd }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err }),
    );
  });
}

const truth = '.... .##. .##. ....';
const half = '.... .#.. .#.. ....';

/** A folder with mask pictures by path; what is bytes is written as it is. */
async function place(files: Readonly<Record<string, string | Buffer>>, on = 255): Promise<string> {
  const { path } = folder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    if (typeof content !== 'string') {
      writeFileSync(join(path, name), content);
      continue;
    }
    const { bits, width, height } = ascii(content);
    writeFileSync(
      join(path, name),
      await sharp(
        bits.map((bit) => bit * on),
        { raw: { width, height, channels: 1 } },
      )
        .png()
        .toBuffer(),
    );
  }
  return path;
}

const score = (cwd: string, ...more: string[]) => segr1(cwd, ['score', '--predictions', 'p', '--truth', 't', ...more]);

interface Printed {
  readonly missing: string[];
  readonly extra: string[];
  readonly sets: { readonly n: number; readonly metrics: Record<string, { value: number } | undefined> }[];
}

describe('segr1 score', () => {
  it('counts every truth once: a missing prediction as empty, an extra one not', async () => {
    const path = await place({ 't/a.png': truth, 't/b.png': truth, 'p/a.png': truth, 'p/c.png': truth });
    const { code, out } = await score(path, '--json');
    const { missing, extra, sets } = JSON.parse(out) as Printed;
    expect([code, missing, extra, sets[0].n]).toEqual([0, ['b'], ['c'], 2]);
    expect(sets[0].metrics['iou/binary']!.value).toBe(0.5);
    expect(sets[0].metrics['answer/missing']!.value).toBe(0.5);
  });

  it('takes what `segment` wrote, also beside the images', async () => {
    const files = { 't/a.png': truth, 'p/a.png': half, 'p/a.mask.png': truth, 'p/a.overlay.png': half };
    const { code, out } = await score(await place(files), '--json');
    const { missing, extra, sets } = JSON.parse(out) as Printed;
    expect([code, missing, extra, sets[0].metrics['iou/binary']!.value]).toEqual([0, [], [], 1]);
  });

  it('refuses predictions of which none belongs to a truth', async () => {
    const { code, err } = await score(await place({ 't/a.png': truth, 'p/b.png': truth }));
    expect(code).toBe(2);
    expect(err).toMatch(
      /^predictions {2}\S+: expected pictures named as the 1 in \S+, such as a\.png; got none, but b\.png\n$/,
    );
  });

  it('scores masks of expressions by their conventions, and tells people', async () => {
    const path = await place({ 't/a.png': truth, 'p/a.png': half });
    const { sets } = JSON.parse((await score(path, '--json', '--metrics', 'referring')).out) as Printed;
    expect(sets[0].metrics['lisa/cIoU']!.value).toBeCloseTo(0.5, 6);
    const { out } = await score(path, '--metrics', 'referring');
    expect(out).toMatch(/^gIoU ↑ +ignored pixels left out, both empty earns 1 \(LISA\) +\.500 +\.500 to \.500 +1$/m);
    expect(out).toContain('images   1, each counted once');
  });

  it('brings predictions of another size and kind to their truths', async () => {
    const rgba = await sharp(
      await sharp(
        ascii('#. ..').bits.map((bit) => bit * 255),
        { raw: { width: 2, height: 2, channels: 1 } },
      )
        .png()
        .toBuffer(),
    )
      .toColourspace('srgb')
      .ensureAlpha(0.2)
      .png()
      .toBuffer();
    const path = await place({ 't/a.png': '##.. ##.. .... ....', 'p/a.png': rgba });
    const { sets } = JSON.parse((await score(path, '--json')).out) as Printed;
    expect(sets[0].metrics['iou/binary']!.value).toBe(1);
  });

  it('writes the files of a summary, which compare reads', async () => {
    const path = await place({
      't/a.png': truth,
      't/b.png': truth,
      'p/a.png': truth,
      'p/b.png': truth,
      'worse/a.png': half,
      'worse/b.png': truth,
    });
    expect((await score(path, '--out', 'one')).code).toBe(0);
    expect(readdirSync(join(path, 'one')).toSorted()).toEqual([
      'report.html',
      'scores.jsonl',
      'summary.json',
      'summary.md',
      'summary.tex',
    ]);
    await segr1(path, ['score', '--predictions', 'worse', '--truth', 't', '--out', 'two']);
    const { code, out } = await segr1(path, ['compare', 'one', 'two', '--json']);
    const { sets } = JSON.parse(out) as {
      sets: { differences: { run: string; rows: number; metrics: Record<string, { value: number }> }[] }[];
    };
    expect([code, sets[0].differences[0].run, sets[0].differences[0].rows]).toEqual([0, 'two', 2]);
    expect(sets[0].differences[0].metrics['iou/binary'].value).toBe(-0.25);
    expect((await segr1(path, ['compare', 'one', 'two', '--markdown'])).out).toMatch(
      /^\| IoU, over one half, mean over images \| 1\.000 \[1\.000, 1\.000\] \| \.750 \[\.500, 1\.000\] \| -\.250 \[-\.500, \.000\] \|$/m,
    );
  });

  it.each([
    [
      'no folder',
      { 't/a.png': truth },
      [],
      2,
      'predictions  PLACE/p: expected a folder of predictions; got nothing there',
    ],
    [
      'an empty folder',
      { 't/a.png': truth, 'p/readme.txt': Buffer.from('nothing') },
      [],
      2,
      'predictions  PLACE/p: expected files named',
    ],
    [
      'no truths',
      { 't/readme.txt': Buffer.from('nothing'), 'p/a.png': truth },
      [],
      2,
      'truth  PLACE/t: expected files named',
    ],
    [
      'a folder that is in use',
      { 't/a.png': truth, 'p/a.png': truth },
      ['--out', 't'],
      2,
      't  --out: expected a new or empty folder; got one with files in it',
    ],
    [
      'a file to write into',
      { 't/a.png': truth, 'p/a.png': truth },
      ['--out', 't/a.png'],
      2,
      't/a.png  --out: expected a new or empty folder; got a file; way out: another folder',
    ],
    ['unknown metrics', { 't/a.png': truth, 'p/a.png': truth }, ['--metrics', 'all'], 2, 'metrics'],
    [
      'a prediction that is cut off',
      { 't/a.png': truth, 'p/a.png': Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex') },
      [],
      1,
      'PLACE/p/a.png  image: expected a picture',
    ],
    [
      'two truths of one name',
      { 't/a.png': truth, 't/a.bmp': truth, 'p/a.png': truth },
      [],
      1,
      'questions: expected each once; got "a" twice',
    ],
  ] as const)('refuses %s', async (_, files, more, expected, words) => {
    const path = await place(files);
    const { code, out, err } = await score(path, ...more);
    expect([code, out]).toEqual([expected, '']);
    expect(err).toContain(words.replace('PLACE', path));
    expect(err).not.toContain('    at ');
  });

  it('refuses truths of 0 and 1, against which nothing could be right', async () => {
    const { code, err } = await score(await place({ 't/a.png': truth, 'p/a.png': truth }, 1));
    expect([code, err.includes('expected object pixels over 128; got levels 0, 1')]).toEqual([1, true]);
  });
});

describe('segr1 compare', () => {
  it.each([
    ['a folder that is not there', ['nowhere'], 'nowhere  run: expected a folder; got none'],
    ['a folder of something else', ['.'], '.  run: expected summary.json or benchmark.json in it; got neither'],
  ])('refuses %s', async (_, runs, words) => {
    const { code, err } = await segr1(folder().path, ['compare', ...runs]);
    expect([code, err.trim()]).toEqual([2, words]);
  });

  it('sets any numbers of benchmarks side by side', async () => {
    const { path } = folder();
    for (const [run, accuracy] of [
      ['base', 0.859],
      ['rl', 0.862],
    ] as const) {
      mkdirSync(join(path, run));
      writeFileSync(
        join(path, run, 'benchmark.json'),
        JSON.stringify({ name: run, scores: { accuracy, lost: null }, parts: { popular: { f1: 1 } } }),
      );
    }
    const { out } = await segr1(path, ['compare', 'base', 'rl']);
    expect(out).toMatch(/^benchmark\/scores\/accuracy +0\.859 +0\.862$/m);
    expect(out).toMatch(/^benchmark\/parts\/popular\/f1 +1\.000 +1\.000$/m);
  });

  it('says which file it can’t read', async () => {
    const { path, file } = folder();
    file('summary.json', '{"name": "x", "sets": [{"set": 3}]}');
    const { code, err } = await segr1(path, ['compare', '.']);
    expect([code, err.trim()]).toEqual([
      2,
      'summary.json  run: expected what a run writes; got sets.0.set: Invalid input: expected string, received number',
    ]);
  });
});
