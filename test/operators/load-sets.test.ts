import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { lastValueFrom, toArray } from 'rxjs';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { maskArea } from '../../src/io/mask.js';
import { imageReader } from '../../src/io/reader.js';
import { countRows, load, type LoadOptions } from '../../src/operators/load.js';
import { credits, released } from '../../src/streams/credits.js';
import type { Sample } from '../../src/records.js';
import { lay, picture } from '../io/sets/lay.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-load-sets-'));
});
afterEach(() => rmSync(root, { recursive: true }));

async function rows(options: LoadOptions): Promise<Sample[]> {
  const window = credits(2);
  return lastValueFrom(
    load({ readImage: imageReader(), window }, { frame: 20, shuffle: false, ...options }).pipe(
      released(window),
      toArray(),
    ),
  );
}

/** Grey levels whose left half is `high`. */
const halves = (high: number) => Uint8Array.from({ length: 40 * 20 }, (_, i) => (i % 40 < 20 ? high : 0));
const gray = (high: number) => sharp(halves(high), { raw: { width: 40, height: 20, channels: 1 } });

describe('load, from a set', () => {
  it('gives target and ignored region of ReasonSeg at the frame, and its texts', async () => {
    const square = (label: string, from: number, to: number) => ({
      label,
      points: [
        [from, 0],
        [to, 0],
        [to, 19],
        [from, 19],
      ],
    });
    lay(root, {
      'val/a.jpg': await picture(40, 20),
      'val/a.json': {
        text: ['what cuts?', 'what is sharp?'],
        is_sentence: true,
        shapes: [square('knife', 0, 9), square('ignore', 20, 39)],
      },
    });
    const got = await rows({ set: 'reasonseg', root, split: 'val' });
    expect(got.map(({ id, instruction, task }) => [id, instruction, task])).toEqual([
      ['e0/0/a-0', 'what cuts?', 'reason-sentence'],
      ['e0/1/a-1', 'what is sharp?', 'reason-sentence'],
    ]);
    expect(got.map(({ truth, ignore }) => [truth && maskArea(truth), ignore && maskArea(ignore)])).toEqual([
      [5 * 20, 10 * 20],
      [5 * 20, 10 * 20],
    ]);
  });

  it('gives an empty truth where nothing is to be found, unmarked', async () => {
    const ref = (id: number, ann: number[]) => ({
      ref_id: id,
      ann_id: ann,
      image_id: 1,
      split: 'val',
      sentences: [{ sent_id: id, sent: 'x' }],
    });
    const segmentation = [[0, 0, 20, 0, 20, 20, 0, 20]];
    lay(root, {
      'coco_2014/train2014/1.jpg': await picture(40, 20),
      'grefcoco/grefs(unc).json': [ref(1, [-1]), ref(2, [5]), ref(3, [6])],
      'grefcoco/instances.json': {
        images: [{ id: 1, file_name: '1.jpg', width: 40, height: 20 }],
        annotations: [
          { id: 5, image_id: 1, segmentation },
          { id: 6, image_id: 1, segmentation: [[1, 1, 2, 2]] },
        ],
      },
    });
    const got = await rows({ set: 'grefcoco', root, split: 'val', tolerate: 1 });
    expect(got.map(({ truth, skipped }) => [truth && maskArea(truth), skipped?.reason])).toEqual([
      [0, undefined],
      [200, undefined],
      [
        undefined,
        `${join(root, 'grefcoco/instances.json')}#6  annotation: polygon: expected x and y of at least 3 points; got 4 numbers`,
      ],
    ]);
    expect(countRows({ set: 'grefcoco', root, split: 'val', epochs: 2 })).toBe(6);
  });

  it('takes of each ReasonSeg image the first text where LISA’s numbers are wanted', () => {
    for (const image of ['a', 'b'])
      lay(root, {
        [`ReasonSeg/val/${image}.jpg`]: '',
        [`ReasonSeg/val/${image}.json`]: { text: ['one', 'two'], is_sentence: true, shapes: [] },
      });
    const reason = { set: 'reasonseg', root, split: 'val' } as const;
    expect([countRows(reason), countRows({ ...reason, texts: 'first' })]).toEqual([4, 2]);
    expect(() => countRows({ ...reason, set: 'camo', texts: 'first' })).toThrow('expected set: reasonseg beside texts');
  });

  it('draws under legacy what the released evaluation draws, the same for the same seed', async () => {
    const ref = (id: number, image: number) => ({
      ref_id: id,
      ann_id: 5,
      image_id: image,
      split: 'val',
      sentences: ['a', 'b', 'c'].map((sent, i) => ({ sent_id: id * 10 + i, sent })),
    });
    const instances = {
      images: [1, 2].map((id) => ({ id, file_name: `${id}.jpg`, width: 40, height: 20 })),
      annotations: [{ id: 5, image_id: 1, segmentation: [[0, 0, 20, 0, 20, 20, 0, 20]] }],
    };
    lay(root, {
      'coco_2014/train2014/1.jpg': await picture(40, 20),
      'coco_2014/train2014/2.jpg': await picture(40, 20),
      'refcoco/refs(unc).json': [ref(1, 1), ref(2, 2), ref(3, 1)],
      'refcoco/instances.json': instances,
    });
    const set = { set: 'refcoco', root, split: 'val' } as const;
    const drawn = async (seed: number) =>
      (await rows({ ...set, protocol: 'legacy', seed })).map(({ image, instruction }) => [
        'path' in image && image.path.at(-5),
        instruction,
      ]);
    const seeds = await Promise.all([1, 1, 2, 3, 4].map(drawn));
    for (const one of seeds) expect(one.map(([image]) => image)).toEqual(['1', '2']);
    expect(seeds[0]).toEqual(seeds[1]);
    expect(new Set(seeds.map((one) => JSON.stringify(one))).size).toBeGreaterThan(1);
    expect(countRows(set)).toBe(9);
    expect(() => countRows({ ...set, protocol: 'legacy' })).toThrow(
      'expected false beside protocol: legacy, which goes by the order of items; got true',
    );
    expect(() => countRows({ scenes: { count: 1 }, frame: 112, protocol: 'legacy', shuffle: false })).toThrow(
      'expected a set beside protocol: legacy; got none',
    );
  });

  it('reads masks of every kind of picture', async () => {
    const palette = gray(255).png({ palette: true, colours: 2 });
    const deep = gray(255).toColourspace('grey16').png();
    const colours = gray(255).toColourspace('srgb').ensureAlpha(0.5).png();
    const lossy = gray(255).jpeg();
    for (const [name, mask] of Object.entries({ palette, deep, colours, lossy })) {
      lay(root, {
        [`ECSSD/images/${name}.jpg`]: await picture(40, 20),
        [`ECSSD/GT/${name}.png`]: await mask.toBuffer(),
      });
    }
    const got = await rows({ set: 'ecssd', root });
    expect(got.map(({ id, truth }) => [id, truth && maskArea(truth)])).toEqual(
      ['colours', 'deep', 'lossy', 'palette'].map((name, i) => [`e0/${i}/${name}`, 200]),
    );
  });

  it('refuses an image without a mask, or marks it', async () => {
    lay(root, {
      'NC4K/Imgs/a.png': await picture(40, 20),
      'NC4K/Imgs/b.png': await picture(40, 20),
      'NC4K/GT/a.png': await gray(255).png().toBuffer(),
    });
    expect(() => countRows({ set: 'nc4k', root })).toThrow(UsageError);
    expect((await rows({ set: 'nc4k', root, maskless: 'mark' })).map(({ skipped }) => skipped?.reason)).toEqual([
      undefined,
      'no mask',
    ]);
  });

  it.each([
    ['a set without a place', { set: 'duts' }, 'expected where duts lies; got nothing'],
    ['a place without a set', { images: 'im', root: 'x' }, 'expected a set beside root; got root alone'],
    ['a split without a set', { images: 'im', split: 'val' }, 'expected a set beside split; got split alone'],
    ['a set and scenes', { set: 'duts', root: 'x', scenes: { count: 1 } }, 'expected either scenes or a set; got both'],
    ['a set and masks', { set: 'duts', root: 'x', masks: 'gt' }, 'expected the masks of the set; got others'],
    ['an unknown set', { set: 'voc', root: 'x' }, 'refcocog'],
  ] as [string, LoadOptions, string][])('refuses %s', (_, options, message) => {
    expect(() => load({ readImage: imageReader(), window: credits(1) }, options)).toThrow(message);
  });
});
