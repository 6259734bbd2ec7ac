import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { ai2dItems } from '../../../src/io/benchmarks/ai2d.js';
import { benchmarkItems } from '../../../src/io/benchmarks/named.js';
import { mmbenchTable, placed } from './published.js';

const diagram = (imageName: string, correctAnswer = 1): string =>
  JSON.stringify({
    imageName,
    questions: {
      'Which eats grass?': {
        abcLabel: false,
        answerTexts: ['owl', 'hare', 'fox', 'C'],
        correctAnswer,
        questionId: `${imageName}-0`,
      },
    },
  });

describe('ai2dItems', () => {
  it('reads questions beside their diagrams', () => {
    const root = placed({
      'questions/10.png.json': diagram('10.png'),
      'questions/2.png.json': diagram('2.png', 3),
      'categories.json': '{"10.png": "foodChainsWebs"}',
    });
    const items = ai2dItems(root);
    expect(items.map(({ name, question }) => [name, question?.part, question?.answer])).toEqual([
      ['2.png-0', '', 'D'],
      ['10.png-0', 'foodChainsWebs', 'B'],
    ]);
    expect(items[1]).toEqual({
      name: '10.png-0',
      image: join(root, 'images/10.png'),
      instruction: 'Which eats grass?\nA. owl\nB. hare\nC. fox\nD. C\nAnswer with the letter of the right option.',
      task: 'ai2d',
      question: {
        benchmark: 'ai2d',
        part: 'foodChainsWebs',
        item: '10.png-0',
        turn: 0,
        options: ['owl', 'hare', 'fox', 'C'],
        answer: 'B',
      },
    });
  });

  it('takes the pictures of the test set', () => {
    const root = placed({
      'questions/1.png.json': diagram('1.png'),
      'questions/2.png.json': diagram('2.png'),
      'ai2d_test_ids.csv': '2\n7\n',
    });
    expect(ai2dItems(root, 'test').map(({ name }) => name)).toEqual(['2.png-0']);
    expect(() => ai2dItems(root, 'dev')).toThrow('split: expected test, or none for all of AI2D; got dev');
  });

  it.each(['', 'AI2D_TEST.tsv'])(
    'reads AI2D_TEST.tsv, which has no column split, as its test part: root/%s',
    (name) => {
      const image = Buffer.alloc(90).toString('base64');
      const root = placed({
        'AI2D_TEST.tsv': `\uFEFFindex\timage\tquestion\tA\tB\tanswer\n0\t${image}\tWhich?\towl\thare\tB\n`,
      });
      for (const split of ['test', undefined])
        expect(ai2dItems(join(root, name), split).map(({ question }) => question?.answer)).toEqual(['B']);
      expect(() => ai2dItems(join(root, name), 'dev')).toThrow('expected some with the split "dev"; got none');
    },
  );

  it('reads a table as well, each question once', async () => {
    const path = join(await mmbenchTable(), 'mmbench.tsv');
    expect(benchmarkItems({ benchmark: 'ai2d', root: path }).map(({ name, task }) => [name, task])).toEqual(
      ['3', '7', '9', '11'].map((name) => [name, 'ai2d']),
    );
  });

  it('refuses a folder without questions, and an answer that is no option', () => {
    const root = placed({ 'questions/1.png.json': diagram('1.png', 4), 'other/readme': '' });
    expect(() => ai2dItems(root)).toThrow('1.png-0  correctAnswer: expected one of 4 options, counted from 0; got 4');
    expect(() => ai2dItems(join(root, 'other'))).toThrow(
      'expected questions/*.json, or AI2D_TEST.tsv; got readme; no pictures',
    );
    expect(() => benchmarkItems({ benchmark: 'mmbench', root })).toThrow(
      `root: expected a table for mmbench; got ${root}`,
    );
  });
});
