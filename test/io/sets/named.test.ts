import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { UsageError } from '../../../src/errors.js';
import { setItems, setNames } from '../../../src/io/sets/named.js';
import { lay } from './lay.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'segr1-sets-'));
});
afterEach(() => rmSync(root, { recursive: true }));

describe('setItems, of one object an image', () => {
  it.each([
    ['cod10k', 'test', 'COD10K-v3/Test/Image/a.jpg', 'COD10K-v3/Test/GT_Object/a.png'],
    ['cod10k', 'train', 'COD10K-v3/Train/Image/a.jpg', 'COD10K-v3/Train/GT_Object/a.png'],
    ['camo', 'test', 'CAMO-V.1.0-CVIU2019/Images/Test/a.jpg', 'CAMO-V.1.0-CVIU2019/GT/a.png'],
    ['camo', 'train', 'CAMO-V.1.0-CVIU2019/Images/Train/a.jpg', 'CAMO-V.1.0-CVIU2019/GT/Train/a.png'],
    ['nc4k', 'test', 'NC4K/Imgs/a.jpg', 'NC4K/GT/a.png'],
    ['chameleon', 'test', 'CHAMELEON/Imgs/a.jpg', 'CHAMELEON/GT/a.png'],
    ['dis5k', 'te3', 'DIS5K/DIS-TE3/im/a.jpg', 'DIS5K/DIS-TE3/gt/a.png'],
    ['duts', 'train', 'DUTS/DUTS-TR/DUTS-TR-Image/a.jpg', 'DUTS/DUTS-TR/DUTS-TR-Mask/a.png'],
    ['dut-omron', 'test', 'DUT-OMRON/DUT-OMRON-image/a.jpg', 'DUT-OMRON/pixelwiseGT-new-PNG/a.png'],
    ['hku-is', 'test', 'HKU-IS/imgs/a.png', 'HKU-IS/gt/a.png'],
    ['ecssd', 'test', 'ECSSD/images/a.jpg', 'ECSSD/ground_truth_mask/a.png'],
    ['pascal-s', 'test', 'PASCAL-S/Imgs/a.jpg', 'PASCAL-S/GT/a.png'],
    ['pascal-s', 'test', 'datasets/imgs/pascal/a.jpg', 'datasets/masks/pascal/a.png'],
    ['pascal-s', 'test', 'salObj/datasets/imgs/pascal/a.jpg', 'salObj/datasets/masks/pascal/a.png'],
    ['pascal-s', 'test', 'PASCAL-S/img/a.jpg', 'PASCAL-S/gt/a.png'],
    ['cod10k', 'test', 'TestDataset/COD10K/Imgs/a.jpg', 'TestDataset/COD10K/GT/a.png'],
    ['camo', 'test', 'TestDataset/CAMO/Imgs/a.jpg', 'TestDataset/CAMO/GT/a.png'],
    ['camo', 'test', 'CAMO/img/a.jpg', 'CAMO/gt/a.png'],
    ['chameleon', 'test', 'TestDataset/CHAMELEON/Imgs/a.jpg', 'TestDataset/CHAMELEON/GT/a.png'],
    ['nc4k', 'test', 'TestDataset/NC4K/Imgs/a.jpg', 'TestDataset/NC4K/GT/a.png'],
    ['ecssd', 'test', 'ECSSD/Imgs/a.jpg', 'ECSSD/Imgs/a.png'],
    ['duts', 'test', 'DUTS-TE/DUTS-TE-Image/a.jpg', 'DUTS-TE/DUTS-TE-Mask/a.png'],
    ['dut-omron', 'test', 'DUTOMRON/img/a.jpg', 'DUTOMRON/gt/a.png'],
    ['camo', 'test', 'testdataset/camo/IMGS/a.jpg', 'testdataset/camo/Gt/a.png'],
    ['cod10k', 'test', 'cod10k-v3/test/image/a.jpg', 'cod10k-v3/test/gt_object/a.png'],
    ['dis5k', 'vd', 'dis5k/dis-vd/im/a.jpg', 'dis5k/dis-vd/GT/a.png'],
  ] as const)('%s, %s', (set, split, image, mask) => {
    lay(root, { [image]: '', [mask]: '' });
    const wanted = [{ name: 'a', image: join(root, image), mask: join(root, mask) }];
    expect(setItems({ set, root, split })).toEqual(wanted);
    expect(setItems({ set, root: join(root, image.split('/')[0]), split })).toEqual(wanted);
  });

  it('the folder of one set itself, as SINet passes it on', () => {
    lay(root, { 'TestDataset/CAMO/Imgs/a.jpg': '', 'TestDataset/CAMO/GT/a.png': '' });
    expect(setItems({ set: 'camo', root: join(root, 'TestDataset/CAMO') })).toHaveLength(1);
  });

  it('tells the sets of TrainDataset apart, and takes neither for a test', () => {
    const names = ['COD10K-CAM-1-Aquatic-1-BatFish-1', 'COD10K-NonCAM-1-x', 'camourflage_00001'];
    for (const name of names) lay(root, { [`TrainDataset/Imgs/${name}.jpg`]: '', [`TrainDataset/GT/${name}.png`]: '' });
    for (const at of [root, join(root, 'TrainDataset')]) {
      const found = (set: 'cod10k' | 'camo') => setItems({ set, root: at, split: 'train' }).map(({ name }) => name);
      expect([found('cod10k'), found('camo')]).toEqual([[names[0]], [names[2]]]);
      expect(() => setItems({ set: 'camo', root: at, split: 'test' })).toThrow(UsageError);
    }
  });

  it('a set without any mask where its rows may be marked', () => {
    lay(root, { 'TestDataset/CAMO/Imgs/a.jpg': '' });
    expect(setItems({ set: 'camo', root, maskless: 'mark' }).map(({ mask }) => mask)).toEqual([undefined]);
    expect(() => setItems({ set: 'camo', root })).toThrow('camo: expected TestDataset/CAMO/GT or');
  });

  it('says what lies there instead', () => {
    lay(root, { 'photos/a.jpg': '', 'old/masks/a.png': '', 'read.me': '' });
    expect(() => setItems({ set: 'camo', root })).toThrow(
      `${root}  camo: expected CAMO-V.1.0-CVIU2019/Images/Test and CAMO-V.1.0-CVIU2019/GT/Test; or TestDataset/CAMO/Imgs and TestDataset/CAMO/GT; got old/ photos/ read.me; pictures in photos, old/masks`,
    );
    expect(() => setItems({ set: 'camo', root: join(root, 'none/at/all') })).toThrow(
      `got nothing there; in ${root} lie old/ photos/ read.me`,
    );
  });

  it('leaves out what COD10K has without an object', () => {
    lay(root, {
      'Test/Image/COD10K-CAM-1.jpg': '',
      'Test/Image/COD10K-NonCAM-2.jpg': '',
      'Test/GT_Object/COD10K-CAM-1.png': '',
      'Test/GT_Object/COD10K-NonCAM-2.png': '',
    });
    expect(setItems({ set: 'cod10k', root }).map(({ name }) => name)).toEqual(['COD10K-CAM-1']);
  });

  it('keeps an image without a mask, for the run to refuse or mark', () => {
    lay(root, {
      'DUTS-TE/DUTS-TE-Image/a.jpg': '',
      'DUTS-TE/DUTS-TE-Image/b.jpg': '',
      'DUTS-TE/DUTS-TE-Mask/b.png': '',
    });
    expect(setItems({ set: 'duts', root }).map(({ mask }) => mask && basename(mask))).toEqual([undefined, 'b.png']);
  });
});

describe('setItems, of lists', () => {
  it('jsonl: paths from the list’s own folder, and what is asked', () => {
    lay(root, {
      'sets/list.jsonl':
        '{"image_path": "im/a.jpg", "ground_truth": "gt/a.png"}\n\n{"image_path": "im/a.jpg", "ground_truth": null, "instruction": "the left one"}\n',
    });
    expect(setItems({ set: 'jsonl', root: join(root, 'sets/list.jsonl') })).toEqual([
      { name: 'a', image: join(root, 'sets/im/a.jpg'), mask: join(root, 'sets/gt/a.png') },
      { name: 'a-3', image: join(root, 'sets/im/a.jpg'), instruction: 'the left one', task: 'referring' },
    ]);
  });

  it('coco: an item an image and category', () => {
    const annotation = (id: number, image: number, category: number) => ({
      id,
      image_id: image,
      category_id: category,
      segmentation: [],
    });
    const images = [1, 2].map((id) => ({ id, file_name: `${id}.jpg`, width: 4, height: 4 }));
    lay(root, {
      'a.json': {
        images,
        annotations: [annotation(5, 1, 7), annotation(6, 2, 7), annotation(8, 1, 7), annotation(9, 1, 3)],
        categories: [{ id: 7, name: 'cat' }],
      },
    });
    const at = join(root, 'a.json');
    expect(setItems({ set: 'coco', root: at, images: '/p' })).toEqual([
      { name: '1-7', image: '/p/1.jpg', mask: `${at}#5,8`, instruction: 'cat', task: 'referring' },
      { name: '2-7', image: '/p/2.jpg', mask: `${at}#6`, instruction: 'cat', task: 'referring' },
      { name: '1-3', image: '/p/1.jpg', mask: `${at}#9`, task: 'foreground' },
    ]);
  });
});

describe('setItems, of ReasonSeg', () => {
  it('gives every text, and an image whose file is broken once', () => {
    const shapes = [
      {
        label: 'target',
        points: [
          [0, 0],
          [3, 0],
          [3, 3],
        ],
      },
    ];
    lay(root, {
      'ReasonSeg/val/a.jpg': '',
      'ReasonSeg/val/a.json': { text: ['one', 'two'], is_sentence: true, shapes },
      'ReasonSeg/val/b.jpg': '',
      'ReasonSeg/val/b.json': '{"te',
      'ReasonSeg/val/c.jpg': '',
      'ReasonSeg/val/c.json': { text: ['cup'], is_sentence: false, shapes },
    });
    expect(
      setItems({ set: 'reasonseg', root, split: 'val' }).map(({ name, instruction, task }) => [
        name,
        instruction,
        task,
      ]),
    ).toEqual([
      ['a-0', 'one', 'reason-sentence'],
      ['a-1', 'two', 'reason-sentence'],
      ['b', undefined, 'reason-sentence'],
      ['c-0', 'cup', 'reason-phrase'],
    ]);
  });
});

describe('setItems refuses', () => {
  it.each([
    ['annotations', { id: 5, image_id: 2, category_id: 7, segmentation: [] }],
    ['images', { id: 1, file_name: '2.jpg', width: 4, height: 4 }],
  ] as const)('a coco file of which two %s share an id, one of which would be lost', (list, other) => {
    const image = { id: 1, file_name: '1.jpg', width: 4, height: 4 };
    const file = {
      images: [image, image, { ...image, id: 2 }],
      annotations: [{ id: 5, image_id: 1, category_id: 7 }],
    };
    lay(root, { 'a.json': file, 'b.json': { ...file, [list]: [...file[list], other] } });
    expect(setItems({ set: 'coco', root: join(root, 'a.json'), images: '/p' })).toHaveLength(1);
    expect(() => setItems({ set: 'coco', root: join(root, 'b.json'), images: '/p' })).toThrow(
      `${join(root, 'b.json')}  ${list}: expected an id for each; got ${other.id} twice, of entries that differ`,
    );
  });

  it.each(setNames)('%s where nothing lies', (set) => {
    mkdirSync(join(root, 'empty'));
    expect(() => setItems({ set, root: join(root, 'empty'), images: root })).toThrow(UsageError);
    expect(() => setItems({ set, root: join(root, 'none'), images: root })).toThrow(UsageError);
  });

  it.each([
    ['an unknown split', 'dis5k', 'DIS5K/x', 'split: expected one of tr, vd, te1, te2, te3, te4 of dis5k; got "test"'],
    ['images without masks', 'ecssd', 'ECSSD/images/a.jpg', 'ecssd: expected ECSSD/GT or'],
    [
      'an empty folder',
      'nc4k',
      'NC4K/Imgs/notes.txt',
      'nc4k: expected NC4K/Imgs and NC4K/GT; or TestDataset/NC4K/Imgs and TestDataset/NC4K/GT; got NC4K/; no pictures',
    ],
  ] as const)('%s', (_, set, file, message) => {
    lay(root, { [file]: '' });
    expect(() => setItems({ set, root })).toThrow(message);
  });

  it.each([
    ['an empty list', '\n', 'expected one JSON a line; got an empty file'],
    ['a line cut off', '{"image_path": "a.jpg"}\n{"image', 'list.jsonl:2  list: expected JSON with image_path'],
    ['a line without an image', '{"ground_truth": "a.png"}', 'list.jsonl:1  list: expected JSON with image_path'],
  ])('%s', (_, text, message) => {
    lay(root, { 'list.jsonl': text });
    expect(() => setItems({ set: 'jsonl', root: join(root, 'list.jsonl') })).toThrow(message);
  });

  it('a coco file without the folder of its images', () => {
    lay(root, { 'a.json': {} });
    expect(() => setItems({ set: 'coco', root: join(root, 'a.json') })).toThrow(
      'images: expected the folder of the images of a COCO file; got nothing',
    );
  });
});
