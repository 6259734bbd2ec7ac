import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { UsageError } from '../../../src/errors.js';
import { maskArea } from '../../../src/io/mask.js';
import { referItems } from '../../../src/io/sets/refer.js';
import { readTruth } from '../../../src/io/truth.js';
import { lay } from './lay.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-refer-'));
});
afterEach(() => rmSync(root, { recursive: true }));

const size = { width: 10, height: 6 };
const square = [1, 1, 4, 1, 4, 5, 1, 5];
const instances = {
  images: [{ id: 9, file_name: 'COCO_9.jpg', width: 10, height: 6 }],
  annotations: [
    { id: 1, image_id: 9, segmentation: [square, [6, 0, 9, 0, 9, 2, 6, 2]] },
    { id: 2, image_id: 9, segmentation: { size: [6, 10], counts: [0, 6, 54] } },
    { id: 3, image_id: 9, segmentation: { size: [6, 10], counts: 'f1' } },
    { id: 4, image_id: 9, segmentation: [[1, 1, 4, 4]] },
    { id: 5, image_id: 9, segmentation: { size: [6, 10], counts: [3] } },
  ],
};
const ref = (id: number, ann: unknown, sents: readonly string[], more: object = {}) => ({
  ref_id: id,
  ann_id: ann,
  image_id: 9,
  split: 'val',
  file_name: 'COCO_9_3.jpg',
  sentences: sents.map((sent, i) => ({ sent_id: 10 * id + i, sent, raw: sent })),
  ...more,
});

describe('referItems', () => {
  it('gives every expression of the split, and the photo that the annotations name', () => {
    lay(root, {
      'Refer_Segm/refcoco/refs(unc).json': [
        ref(1, 1, ['left', 'left one']),
        ref(2, 2, ['right'], { split: 'testA' }),
        ref(3, 2, ['edge']),
      ],
      'Refer_Segm/refcoco/instances.json': instances,
    });
    const image = join(root, 'Refer_Segm/coco_2014/train2014/COCO_9.jpg');
    const at = join(root, 'Refer_Segm/refcoco/instances.json');
    expect(referItems('refcoco', root, 'val')).toEqual([
      { name: '1-10', image, mask: `${at}#1`, instruction: 'left', task: 'referring' },
      { name: '1-11', image, mask: `${at}#1`, instruction: 'left one', task: 'referring' },
      { name: '3-30', image, mask: `${at}#2`, instruction: 'edge', task: 'referring' },
    ]);
    expect(referItems('refcoco', join(root, 'Refer_Segm'), 'val', '/photos')[0]?.image).toBe('/photos/COCO_9.jpg');
  });

  it.each([
    ['Refer_Segm/', 'Refer_Segm/coco_2014/train2014'],
    ['refer_seg/', 'refer_seg/images/mscoco/images/train2014'],
    ['', 'images/mscoco/images/train2014'],
    ['', 'train2014'],
  ])('lies in the trees that others publish: %s%s', (base, photos) => {
    lay(root, {
      [`${base}refcocog/refs(google).json`]: [ref(1, 1, ['x'])],
      [`${base}refcocog/instances.json`]: instances,
      [`${photos}/1.jpg`]: '',
    });
    const [item] = referItems('refcocog', root, 'val');
    expect(item?.image.startsWith(join(root, photos))).toBe(true);
  });

  it('takes the expressions that are named', () => {
    lay(root, {
      'refcocog/refs(google).json': [ref(1, 1, ['by google'])],
      'refcocog/refs(umd).json': [ref(1, 1, ['by umd'])],
      'refcocog/instances.json': instances,
    });
    const first = (split: string) => referItems('refcocog', root, split)[0]?.instruction;
    expect([first('val'), first('umd/val'), first('google/val')]).toEqual(['by umd', 'by umd', 'by google']);
    expect(() => first('unc/val')).toThrow('expected another than unc/');
  });

  it.each([
    ['one', 2, {}, 6],
    ['several', [1, 2], {}, 3 * 4 + 3 * 2 + 6],
    ['none, as a list', [-1], { no_target: true }, 0],
    ['none, bare', -1, {}, 0],
  ])('unites what is meant: %s', async (_, ann, more, area) => {
    lay(root, { 'grefcoco/grefs(unc).json': [ref(1, ann, ['x'], more)], 'grefcoco/instances.json': instances });
    const [item] = referItems('grefcoco', root, 'val');
    expect(maskArea((await readTruth(item?.mask ?? '', size, size)).mask)).toBe(area);
  });

  it.each([
    [3, 'expected runs that fill 10x6'],
    [4, 'polygon: expected x and y of at least 3 points; got 4 numbers'],
    [5, 'expected runs that fill 10x6; got 3 pixels'],
    [77, '#77  annotation: expected one, with its image; got none'],
  ])('annotation %i is a fault of the data', async (id, message) => {
    lay(root, { 'i.json': instances });
    await expect(readTruth(`${join(root, 'i.json')}#${id}`, size, size)).rejects.toThrow(message);
  });

  it.each([
    [
      'a split that there is not',
      { 'refcoco/refs(unc).json': [ref(1, 1, ['x'])], 'refcoco/instances.json': instances },
      'split: expected one of val of refcoco; got "test"',
    ],
    [
      'no expressions',
      { 'refcoco/instances.json': instances },
      'expected refs(unc).p or refs(unc).json; got instances.json; no pictures',
    ],
    [
      'expressions of another kind',
      { 'refcoco/refs(unc).json': [{ split: 'test' }], 'refcoco/instances.json': instances },
      'expressions: expected a list of refs; got at 0.ref_id',
    ],
    [
      'a pickle that calls',
      { 'refcoco/refs(unc).p': 'cos\nsystem\n.', 'refcoco/instances.json': instances },
      'got GLOBAL, 0x63',
    ],
    [
      'no annotations',
      { 'refcoco/refs(unc).json': [ref(1, 1, ['x'], { split: 'test' })] },
      'instances.json  annotations: expected a file; got nothing there',
    ],
    [
      'annotations cut off',
      { 'refcoco/refs(unc).json': [ref(1, 1, ['x'], { split: 'test' })], 'refcoco/instances.json': '{"images": [' },
      'annotations: expected JSON; got',
    ],
    [
      'an image that is not listed',
      {
        'refcoco/refs(unc).json': [ref(1, 1, ['x'], { split: 'test', image_id: 5 })],
        'refcoco/instances.json': instances,
      },
      'images: expected 5, of which ref 1 speaks; got none',
    ],
  ])('refuses %s', (_, files, message) => {
    lay(root, files);
    expect(() => referItems('refcoco', root, 'test')).toThrow(UsageError);
    expect(() => referItems('refcoco', root, 'test')).toThrow(message);
  });
});
