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

  it('refuses a text without a picture, a line without an answer, and a folder without texts', () => {
    const lonely = placed({ 'count/1.txt': text, 'count/2.jpg': '' });
    expect(() => mmeItems(lonely)).toThrow(`${lonely}/count/1.txt  picture: expected one of that name; got none`);
    const open = placed({ 'count/1.txt': 'How many?\tTwo\n', 'count/1.jpg': '' });
    expect(() => mmeItems(open)).toThrow(
      `${open}/count/1.txt:1  question: expected "question<TAB>Yes" or No; got "How many?\\tTwo"`,
    );
    expect(() => mmeItems(open, 'OCR')).toThrow(`root  ${open}: expected OCR/*.txt; got none`);
  });
});
