import { join } from 'node:path';

import { beforeAll, describe, expect, it } from 'vitest';

import { popeItems } from '../../../src/io/benchmarks/pope.js';
import { placed, popeFolder } from './published.js';

describe('popeItems', () => {
  let root = '';
  beforeAll(async () => void (root = await popeFolder()));

  it('has the questions of every split that is there', () => {
    const items = popeItems(root);
    expect(items.map(({ name, question }) => [name, question?.part, question?.answer])).toEqual([
      ['random-1', 'random', 'yes'],
      ['random-2', 'random', 'no'],
      ['adversarial-1', 'adversarial', 'yes'],
      ['adversarial-2', 'adversarial', 'no'],
    ]);
    expect(items[0]).toEqual({
      name: 'random-1',
      image: join(root, 'val2014/one.png'),
      instruction: 'Is there a kite in the image?\nAnswer with yes or no.',
      task: 'pope',
      question: { benchmark: 'pope', part: 'random', item: 'random-1', turn: 0, options: [], answer: 'yes' },
    });
  });

  it('takes one split, and pictures from elsewhere', () => {
    expect(popeItems(root, 'adversarial', root).map(({ image }) => image)).toEqual([
      join(root, 'two.png'),
      join(root, 'two.png'),
    ]);
  });

  it('refuses what is not there, and lines that are no question', () => {
    expect(() => popeItems(root, 'popular')).toThrow(
      `root  ${root}: expected coco_pope_popular.json; got coco_pope_adversarial.json coco_pope_random.json val2014/; pictures in val2014`,
    );
    const odd = placed({
      'coco_pope_random.json': '{"question_id": 1, "image": "a.jpg", "text": "Is it?", "label": "maybe"}\n',
      'val2014/a.jpg': '',
    });
    expect(() => popeItems(odd)).toThrow(
      `${odd}/coco_pope_random.json:1  benchmark: expected its questions; got label: Invalid option: expected one of "yes"|"no"`,
    );
    const bare = placed({ 'coco_pope_random.json': '{}\n' });
    expect(() => popeItems(bare)).toThrow(
      `images: expected the folder of COCO's pictures; got ${bare}/val2014, which is not there`,
    );
  });
});
