import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { mmeItems } from '../../../src/io/benchmarks/mme.js';
import { placed } from './published.js';

const text = 'Is it red? Please answer yes or no.\tYes\r\nIs it blue? Please answer yes or no.\tNo\r\n';

describe('mmeItems', () => {
  it('reads pictures and texts side by side, and apart', () => {
    const root = placed({
      'color/2.jpg': '',
      'color/2.txt': text,
      'color/10.png': '',
      'color/10.txt': 'Is it so?\tNo\n',
      'landmark/images/tower.png': '',
      'landmark/questions_answers_YN/tower.txt': text,
      'eval_tool/readme.md': '',
    });
    const items = mmeItems(root);
    expect(
      items.map(({ name, image, question }) => [name, image, question?.part, question?.item, question?.answer]),
    ).toEqual([
      ['color/2-1', join(root, 'color/2.jpg'), 'color', 'color/2', 'yes'],
      ['color/2-2', join(root, 'color/2.jpg'), 'color', 'color/2', 'no'],
      ['color/10-1', join(root, 'color/10.png'), 'color', 'color/10', 'no'],
      ['landmark/tower-1', join(root, 'landmark/images/tower.png'), 'landmark', 'landmark/tower', 'yes'],
      ['landmark/tower-2', join(root, 'landmark/images/tower.png'), 'landmark', 'landmark/tower', 'no'],
    ]);
    expect(items.map(({ instruction }) => instruction).slice(1, 3)).toEqual([
      'Is it blue? Please answer yes or no.',
      'Is it so?\nAnswer with yes or no.',
    ]);
    expect(mmeItems(root, 'landmark')).toHaveLength(2);
  });

  it('reads it as it is published, beside the tool and other models’ results', () => {
    const root = placed({
      'MME_Benchmark_release_version/MME_Benchmark/color/2.jpg': '',
      'MME_Benchmark_release_version/MME_Benchmark/color/2.txt': text,
      'MME_Benchmark_release_version/eval_tool/LaVIN/color.txt': '2.jpg\tIs it red?\tYes\tyes\n',
      'MME_Benchmark_release_version/eval_tool/color.txt': '2.jpg\tIs it red?\tYes\tyes\n',
    });
    for (const at of [root, join(root, 'MME_Benchmark_release_version')])
      expect(mmeItems(at).map(({ name }) => name)).toEqual(['color/2-1', 'color/2-2']);
  });

  it('refuses a text without a picture, a line without an answer, and a folder without texts', () => {
    const lonely = placed({ 'count/1.txt': text, 'count/2.jpg': '' });
    expect(() => mmeItems(lonely)).toThrow(`${lonely}/count/1.txt  picture: expected one of that name; got none`);
    const open = placed({ 'count/1.txt': 'How many?\tTwo\n', 'count/1.jpg': '' });
    expect(() => mmeItems(open)).toThrow(
      `${open}/count/1.txt:1  question: expected "question<TAB>Yes" or No; got "How many?\\tTwo"`,
    );
    expect(() => mmeItems(open, 'OCR')).toThrow(
      `root  ${open}: expected OCR/*.txt, or MME_Benchmark with them; got count/; pictures in count`,
    );
  });
});
