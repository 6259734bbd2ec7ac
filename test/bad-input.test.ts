import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateSync } from 'node:zlib';

import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';

import { readPipeline, readRows, run, type Row, type Summary } from '../src/index.js';
import { folder } from './pipelines/files.js';

const [WIDTH, HEIGHT] = [48, 32];
const SIZE = { width: WIDTH, height: HEIGHT };
const [ORANGE, GRAY] = [
  [230, 120, 20],
  [70, 80, 90],
] as const;

/** An orange block on gray, in the left half. */
const inside = (x: number, y: number): boolean => x >= 6 && x < 22 && y >= 8 && y < 24;
const pixels = Buffer.from(
  Array.from({ length: WIDTH * HEIGHT }, (_, i) => (inside(i % WIDTH, Math.floor(i / WIDTH)) ? ORANGE : GRAY)).flat(),
);
const levels = Buffer.from(
  Array.from({ length: WIDTH * HEIGHT }, (_, i) => (inside(i % WIDTH, Math.floor(i / WIDTH)) ? 255 : 0)),
);
const photo = () => sharp(pixels, { raw: { ...SIZE, channels: 3 } });
const truth = () => sharp(levels, { raw: { ...SIZE, channels: 1 } }).toColourspace('b-w');
const flat = (level: number) =>
  sharp({ create: { ...SIZE, channels: 3, background: { r: level, g: level, b: level } } });

/** A PNG whose header promises 100 megapixels behind which there is next to nothing. */
function hugePng(): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(10_000, 0);
  header.writeUInt32BE(10_000, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
    const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    check.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, check]);
  };
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(1000))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

let rows: ReadonlyMap<string, Row>;
let summary: Summary;
let images: string;
let masks: string;

/** Fits prompts to every pair, and leaves the summary and the rows by image name. */
async function fitted(folderOfRun: string, tolerate: number): Promise<Summary> {
  const { file } = folder();
  const load = JSON.stringify({ images, masks, frame: 64, shuffle: false });
  const yaml = file(
    'fit.yaml',
    `tolerate: ${tolerate}\nsegmenter: { kind: grabcut }\nstages: [{ load: ${load} }, { fit: { maxClicks: 1 } }, write]\n`,
  );
  return run(await readPipeline(yaml), { folder: folderOfRun });
}

beforeAll(async () => {
  const root = folder().path;
  [images, masks] = [join(root, 'images'), join(root, 'masks')];
  mkdirSync(images);
  mkdirSync(masks);
  const [png, mask, jpeg] = await Promise.all([
    photo().png().toBuffer(),
    truth().png().toBuffer(),
    photo().jpeg({ quality: 95 }).toBuffer(),
  ]);
  const put = (name: string, image: Buffer, its: Buffer = mask): void => {
    writeFileSync(join(images, name), image);
    writeFileSync(join(masks, `${name.replace(/\.\w+$/, '')}.png`), its);
  };
  put('plain.png', png);
  put('cut.jpg', jpeg.subarray(0, -40));
  put('cut-header.jpg', jpeg.subarray(0, 12));
  put('nothing.png', Buffer.alloc(0));
  put('text.png', Buffer.from('not a picture'));
  put('huge.png', hugePng());
  put('other-size.png', png, await truth().resize(24, 16).png().toBuffer());
  put('cut-mask.png', png, mask.subarray(0, 60));
  put('empty.png', png, await flat(0).png().toBuffer());
  put('full.png', png, await flat(255).png().toBuffer());
  put('mask16.png', png, await truth().toColourspace('grey16').png().toBuffer());
  put('palette.png', png, await truth().png({ palette: true, colours: 2 }).toBuffer());
  put('alpha.png', png, await truth().toColourspace('srgb').ensureAlpha(0.5).png().toBuffer());
  put('alpha-image.png', await photo().ensureAlpha(0.3).png().toBuffer());
  put('cmyk.jpg', await photo().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer());
  // Stored lying on its side; the tag says how to hold it.
  put('turned.jpg', await photo().rotate(-90).jpeg({ quality: 95 }).withMetadata({ orientation: 6 }).toBuffer());
  put('twice.png', png);
  put('twice.jpg', jpeg);

  const out = join(root, 'run');
  summary = await fitted(out, 9);
  const read: Row[] = [];
  for await (const row of readRows(join(out, 'rows'))) read.push(row);
  rows = new Map(read.map((row) => [row.id.split('/').slice(2).join('/'), row]));
});

describe('a folder of what people have', () => {
  it('gives a row for every image', () => {
    expect([summary.rowsIn, summary.rowsOut, rows.size]).toEqual([18, 18, 18]);
  });

  it.each([
    ['cut', 'load', /^image: expected a picture that can be decoded to its end; got /],
    ['cut-header', 'load', /^image: expected a picture with a readable header; got /],
    ['nothing', 'load', /^image: expected a picture with a readable header; got /],
    ['text', 'load', /^image: expected a picture with a readable header; got /],
    ['huge', 'load', /^image: expected at most 89478485 pixels; got 10000x10000; store it smaller$/],
    ['other-size', 'load', /^mask of another size: expected 48x32 as the image; got 24x16$/],
    ['cut-mask', 'load', /cut-mask\.png {2}image: expected a picture that can be decoded to its end; got /],
    ['empty', 'load', /^empty mask$/],
  ])('marks %s', (name, stage, reason) => {
    expect(rows.get(name)).toMatchObject({ skipped: { stage, reason: expect.stringMatching(reason) as string } });
    expect(rows.get(name)?.fitted).toBeUndefined();
  });

  it('counts what it marked, by reason', () => {
    const counts = Object.values(summary.marked['load'] ?? {});
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(8);
  });

  it.each(['plain', 'mask16', 'palette', 'alpha', 'alpha-image', 'cmyk', 'turned', '0/twice.png', '0/twice.jpg'])(
    'finds the block of %s',
    (name) => {
      const row = rows.get(name);
      expect([name, row?.skipped]).toEqual([name, undefined]);
      // Columns 6 to 21 of 48 and rows 8 to 23 of 32, at 64 x 64.
      expect(row?.fitted?.prompt.objects[0]?.box).toEqual([8, 16, 28, 47]);
      expect(Math.max(...(row?.fitted?.ious ?? []))).toBeGreaterThan(0.85);
      expect(row?.original).toEqual(SIZE);
    },
  );

  it('goes on with a mask that is full', () => {
    expect(rows.get('full')?.skipped).toBeUndefined();
    expect(rows.get('full')?.fitted?.prompt.objects[0]?.box).toEqual([0, 0, 63, 63]);
  });

  it('ends a run with more of them than it tolerates, naming the row, its file and the way out', async () => {
    await expect(fitted(join(folder().path, 'run'), 2)).rejects.toThrow(
      /^e0\/\d+\/\S+ {2}\S+images\/\S+ {2}load: expected at most 2 rows that cannot be used; got one more \(.+\); way out: tolerate: 3$/,
    );
  });
});
