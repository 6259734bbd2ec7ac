import { execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, it } from 'vitest';

import { encodePng, readImageFile } from '../../src/io/image.js';
import { decodeMask, encodeMask, fromCocoString, maskArea, maskIou, readMaskFile } from '../../src/io/mask.js';
import { drawMarks, FIGURE_INK } from '../../src/io/overlay.js';
import { readPrompt } from '../../src/operators/parse.js';
import { fixturesFolder } from '../golden/golden.js';
import { drawn, shows } from '../models/drawn.js';
import { folder } from '../pipelines/files.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CLI = join(ROOT, 'dist/cli.js');
const SAM2 = join(fixturesFolder(), 'segmenter', 'tiny-128');
const QWEN = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl-tied-bf16');
/** It learned to find the warm object of a scene, and has a prompt of its own. */
const LEARNED = join(ROOT, 'data/models/tiny');

function segr1(cwd: string, args: readonly string[]): Promise<{ code: unknown; out: Buffer; err: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [CLI, 'segment', ...args], { cwd, encoding: 'buffer' }, (error, out, err) =>
      resolve({ code: error?.code ?? 0, out, err: err.toString() }),
    );
  });
}

interface Printed {
  readonly image: string;
  readonly segmenter: string;
  readonly policy?: string;
  readonly prompt: { readonly frame: object; readonly objects: readonly { box?: number[]; points: object[] }[] } | null;
  readonly completion?: string;
  readonly objects: readonly {
    readonly box?: number[];
    readonly points: object[];
    readonly output?: number;
    readonly iou?: number;
    readonly stability?: number;
    readonly area: number;
    readonly segmentation: Printed['segmentation'];
  }[];
  readonly area: number;
  readonly segmentation: { readonly size: readonly [number, number]; readonly counts: string };
}

const size = { width: 150, height: 90 };
const disc = drawn('disc', 150, 90);
const truth = encodeMask(
  Uint8Array.from({ length: 150 * 90 }, (_, i) =>
    shows('disc', Math.floor(((i % 150) * 120) / 150), Math.floor((Math.floor(i / 150) * 120) / 90)) ? 1 : 0,
  ),
  size,
);
/** Around the disc: columns and rows 22 to 82 of 120, 36 to 96. */
const box = ['--box', '24,24,106,76'];

let path: string;
beforeAll(async () => {
  path = folder().path;
  mkdirSync(join(path, 'photos'));
  const png = await encodePng(disc);
  for (const file of ['disc.png', 'photos/a.png', 'photos/b.png', 'photos/b.bmp.png'])
    writeFileSync(join(path, file), png);
});
const printed = async (...args: readonly string[]): Promise<Printed[]> => {
  const { out, err } = await segr1(path, [...args, '--json']);
  expect(err).toBe('');
  return out
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Printed);
};

describe('segr1 segment', () => {
  it('finds what a box is drawn around, and writes mask, overlay and JSON at the image’s size', async () => {
    const { code, out } = await segr1(path, ['disc.png', ...box, '--out', 'one']);
    expect([code, out.toString()]).toEqual([
      0,
      expect.stringMatching(/^disc\.png {2}\d+\.\d% of 150×90 {2}one\/disc\.mask\.png\n$/),
    ]);
    expect(readdirSync(join(path, 'one')).toSorted()).toEqual(['disc.json', 'disc.mask.png', 'disc.overlay.png']);
    const { mask, original } = await readMaskFile(join(path, 'one/disc.mask.png'), size);
    expect([original, maskIou(mask, truth) > 0.9]).toEqual([size, true]);
    const json = JSON.parse(readFileSync(join(path, 'one/disc.json'), 'utf8')) as Printed;
    expect(json).toMatchObject({
      image: 'disc.png',
      segmenter: expect.stringMatching(/^grabcut\//),
      area: maskArea(mask),
      prompt: { frame: size, objects: [{ box: [24, 24, 106, 76], points: [] }] },
    });
    expect(fromCocoString(json.segmentation.counts, size)).toEqual(mask);
    const overlay = await readImageFile(join(path, 'one/disc.overlay.png'));
    expect(overlay).toEqual(
      drawMarks(disc, { mask, prompt: { frame: size, objects: [{ box: [24, 24, 106, 76], points: [] }] } }, FIGURE_INK),
    );
  });

  it('sorts corners, takes places of a stretched square, and what lies outside as the edge', async () => {
    const [asked] = await printed('disc.png', ...box);
    const [turned] = await printed('disc.png', '--box', '106,76,24,24');
    const [stretched] = await printed('disc.png', '--frame', '300', '--box', '48,80,212,253.3');
    expect(turned).toEqual(asked);
    expect(maskIou(fromCocoString(stretched.segmentation.counts, size), truth)).toBeGreaterThan(0.9);
    const [far] = await printed('disc.png', '--box=-40,-9,400,300', '--segmenter', SAM2);
    const [edge] = await printed('disc.png', '--box', '0,0,150,90', '--segmenter', SAM2);
    expect(far.segmentation).toEqual(edge.segmentation);
  });

  it('keeps objects apart that are named apart, beside their union', async () => {
    const [{ objects, area, segmentation }] = (await printed('disc.png', ...box, '--box', '2,2,12,12')) as [Printed];
    const masks = objects.map((one) => fromCocoString(one.segmentation.counts, size));
    expect(objects.map((one) => one.box)).toEqual([
      [24, 24, 106, 76],
      [2, 2, 12, 12],
    ]);
    expect(masks.map(maskArea)).toEqual(objects.map((one) => one.area));
    expect(maskIou(masks[0], truth)).toBeGreaterThan(0.9);
    const bits = masks.map(decodeMask);
    const both = encodeMask(
      bits[0].map((bit, i) => bit | bits[1][i]),
      size,
    );
    expect([fromCocoString(segmentation.counts, size), area]).toEqual([both, maskArea(both)]);
  });

  it('tells what SAM 2.1 thinks of each object', async () => {
    const [{ objects, segmenter, area }] = (await printed(
      'disc.png',
      '--segmenter',
      SAM2,
      ...box,
      '--box',
      '2,2,30,30',
      '--point',
      '60,50',
      '--point',
      '10,10',
      '--label',
      '1',
      '--label',
      '0',
    )) as [Printed];
    expect([segmenter, objects.length, area > 0]).toEqual(['sam2/tiny-128', 2, true]);
    expect(objects.map(({ box: own, points }) => [own, points.length])).toEqual([
      [[24, 24, 106, 76], 1],
      [[2, 2, 30, 30], 1],
    ]);
    for (const one of objects)
      expect([
        one.output! in [0, 1, 2, 3],
        one.iou! > 0 && one.iou! < 1,
        one.stability! > 0 && one.stability! <= 1,
      ]).toEqual([true, true, true]);
  });

  it('lets a policy write the prompt, and keeps all that it wrote', async () => {
    const scene = join(ROOT, 'data/sample/images/pick-00.png');
    const [asked] = (await printed(scene, '--policy', LEARNED, '--frame', '112')) as [Printed];
    expect(asked.completion).toMatch(/^<think> .* <\/think> <bbox>\[\d+,\d+,\d+,\d+\]<\/bbox>, <points>/);
    expect(asked).toMatchObject({
      policy: LEARNED,
      prompt: readPrompt(asked.completion ?? '', { width: 112, height: 112 }),
    });
    expect(asked.area).toBeGreaterThan(0);
    // The frame that its checkpoint carries.
    expect(await printed(scene, '--policy', LEARNED)).toEqual([asked]);
    const { err } = await segr1(path, [scene, '--policy', LEARNED, '--frame', '56', '--json']);
    expect(err).toBe(
      `--frame: expected 112, the frame that ${LEARNED} was trained in and writes its pixels in; got 56; way out: no --frame\n`,
    );
  });

  it('takes a policy’s malformed text for an empty mask', async () => {
    const { code, out } = await segr1(path, [
      'disc.png',
      '--policy',
      QWEN,
      '--prompt',
      'the-dog',
      '--frame',
      '56',
      '--out',
      'nothing',
    ]);
    expect([code, out.toString()]).toEqual([
      0,
      'disc.png  no prompt in what the policy wrote  nothing/disc.mask.png\n',
    ]);
    const { prompt, completion, area } = JSON.parse(readFileSync(join(path, 'nothing/disc.json'), 'utf8')) as Printed;
    expect([prompt, typeof completion, area]).toEqual([null, 'string', 0]);
  });

  it('goes through folders, tells two files of a name apart, and goes on after a bad one', async () => {
    cpSync(join(path, 'photos'), join(path, 'some'), { recursive: true });
    writeFileSync(join(path, 'some/broken.jpg'), 'nothing');
    const { code, out, err } = await segr1(path, ['some', 'photos/a.png', ...box, '--out', 'many']);
    expect([code, out.toString().trim().split('\n').length]).toEqual([1, 4]);
    expect(err).toContain('some/broken.jpg  image: expected a picture');
    expect(err).toMatch(/\n1 of 5 images could not be used\n$/);
    expect(
      readdirSync(join(path, 'many'))
        .filter((name) => name.endsWith('.json'))
        .toSorted(),
    ).toEqual(['a-2.json', 'a.json', 'b.bmp.json', 'b.json']);
  });

  it('writes the mask of one image to standard output, or JSON lines of many, and no file', async () => {
    const before = readdirSync(path).length;
    const { out } = await segr1(path, ['disc.png', ...box, '--out', '-']);
    writeFileSync(join(folder().path, 'mask.png'), out);
    expect(out.subarray(1, 4).toString()).toBe('PNG');
    expect((await printed('photos', ...box)).map(({ image }) => image)).toEqual([
      'photos/a.png',
      'photos/b.bmp.png',
      'photos/b.png',
    ]);
    expect(readdirSync(path).length).toBe(before);
  });

  it.each<[string, string[], string]>([
    ['no prompt', ['disc.png'], 'segment: expected --box or --point, or a --policy that writes them; got none'],
    [
      'another label',
      ['disc.png', '--point', '1,2', '--label', '2'],
      '--label: expected 1, the object, or 0, what is not; got "2"',
    ],
    [
      'several images and no folder',
      ['disc.png', 'photos', ...box],
      '--out: expected a folder for 4 images; got nothing',
    ],
    [
      'several images on standard output',
      ['photos', ...box, '--out', '-'],
      '--out: expected a folder for 3 images; got -, which is for the mask of one',
    ],
    [
      'an image that is not there',
      ['none.png', ...box],
      'none.png  segment: expected an image or a folder of images; got nothing there',
    ],
    [
      'a box and a policy',
      ['disc.png', ...box, '--policy', QWEN],
      'segment: expected --policy, or --box and --point; got both',
    ],
    [
      'words for nobody',
      ['disc.png', ...box, '--prompt', 'dog'],
      '--prompt: expected it with --policy, which it is for; got it alone',
    ],
    [
      'a policy that is not there',
      ['disc.png', '--policy', 'photos'],
      '--policy: expected the folder of a checkpoint; got "photos", which has no config.json',
    ],
    [
      'a segmenter that is not there',
      ['disc.png', ...box, '--segmenter', 'sam'],
      '--segmenter: expected grabcut or the folder of a SAM 2.1 checkpoint; got "sam", where nothing is',
    ],
    [
      '--overwrite where nothing is written',
      ['disc.png', ...box, '--json', '--overwrite'],
      '--overwrite: expected it with a folder to write to; got none',
    ],
    [
      'a frame of half a pixel',
      ['disc.png', ...box, '--frame', '0.5'],
      '--frame: expected a whole number of at least 1; got "0.5"',
    ],
  ])('refuses %s', async (_, args, words) => {
    const { code, out, err } = await segr1(path, args);
    expect([code, out.length, err.trim()]).toEqual([2, 0, words]);
  });

  it('refuses to write over an image, whatever it is told', async () => {
    const { path: at } = folder();
    for (const file of ['a.png', 'a.mask.png']) cpSync(join(path, 'disc.png'), join(at, file));
    const { code, err } = await segr1(at, ['.', ...box, '--out', '.', '--overwrite']);
    expect([code, err]).toEqual([
      2,
      expect.stringContaining(
        '--out: expected a folder without the images; got a.mask.png there, which would be written over',
      ),
    ]);
  });

  it('writes over a file of the user’s only where it is told to', async () => {
    const { path: at, file } = folder();
    cpSync(join(path, 'disc.png'), join(at, 'photo.png'));
    file('photo.json', '{"version": "5.4.1", "shapes": [], "imagePath": "photo.png"}');
    const { code, out, err } = await segr1(at, ['photo.png', ...box]);
    expect([code, out.length, err.trim()]).toEqual([
      2,
      0,
      'photo.json  segment: expected nothing there, or the earlier result for photo.png; got a file that it did not write, or that was changed since; way out: another --out, or --overwrite',
    ]);
    expect([readdirSync(at), readFileSync(join(at, 'photo.json'), 'utf8')]).toEqual([
      ['photo.json', 'photo.png'],
      '{"version": "5.4.1", "shapes": [], "imagePath": "photo.png"}',
    ]);

    file('photo.json.partial', 'mine');
    expect((await segr1(at, ['photo.png', ...box, '--overwrite'])).code).toBe(0);
    expect(JSON.parse(readFileSync(join(at, 'photo.json'), 'utf8'))).toMatchObject({
      image: 'photo.png',
      files: { image: 'photo.png' },
    });
    expect([readdirSync(at).toSorted(), readFileSync(join(at, 'photo.json.partial'), 'utf8')]).toEqual([
      ['photo.json', 'photo.json.partial', 'photo.mask.png', 'photo.overlay.png', 'photo.png'],
      'mine',
    ]);
  });

  it('knows its own files again: replaces them, and takes none for an image where it is given their folder', async () => {
    const { path: at } = folder();
    for (const file of ['a.png', 'b.png']) cpSync(join(path, 'disc.png'), join(at, file));
    expect((await segr1(at, ['.', ...box, '--out', '.'])).code).toBe(0);
    const first = readFileSync(join(at, 'a.json'), 'utf8');
    const { code, err } = await segr1(at, ['.', '--box', '1,1,9,9', '--out', '.']);
    expect([code, err, readFileSync(join(at, 'a.json'), 'utf8') === first]).toEqual([0, '', false]);
    expect(readdirSync(at).toSorted()).toEqual([
      'a.json',
      'a.mask.png',
      'a.overlay.png',
      'a.png',
      'b.json',
      'b.mask.png',
      'b.overlay.png',
      'b.png',
    ]);
  });

  it('finishes the image at SIGINT', async () => {
    const { path: at } = folder();
    mkdirSync(join(at, 'many'));
    for (let i = 0; i < 40; i++) cpSync(join(path, 'disc.png'), join(at, `many/${i}.png`));
    const child = spawn(process.execPath, [CLI, 'segment', 'many', ...box, '--out', 'out'], { cwd: at });
    child.stdout.once('data', () => child.kill('SIGINT'));
    const code = await new Promise((resolve) => child.on('close', resolve));
    const masks = existsSync(join(at, 'out')) ? readdirSync(join(at, 'out')).length : 0;
    expect([code, masks % 3, masks > 0 && masks < 120]).toEqual([130, 0, true]);
  });
});
