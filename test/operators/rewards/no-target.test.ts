import { describe, expect, it } from 'vitest';

import { emptyMask } from '../../../src/io/mask.js';
import { readPrompt } from '../../../src/operators/parse.js';
import { abstains, noTarget } from '../../../src/operators/rewards/no-target.js';

const size = { width: 8, height: 8 };
const something = { ...size, counts: [10, 4, 50] };
const nothing = emptyMask(size);
const asked = '<think>a bird</think> <bbox>[1,1,4,4]</bbox>, <points>[[2,2]]</points>, <labels>[1]</labels>';
const declined = '<think>no bird</think>';

describe('noTarget', () => {
  it.each([
    ['right to abstain', declined, nothing, 1],
    ['wrong to ask for a mask', asked, nothing, -1],
    ['unreadable where there is nothing', '<think>a bird</think> <bbox>[1,1,4', nothing, 0],
    ['wrong to abstain', declined, something, 0],
    ['right to ask', asked, something, 0],
  ])('%s', (_, text, truth, expected) => {
    expect(noTarget(readPrompt(text, size), { text, finish: 'stop' }, truth)).toBe(expected);
  });

  it('takes no prompt without a text for no answer', () => expect(noTarget(null, undefined, nothing)).toBe(0));
});

describe('abstains', () => {
  it.each([
    ['nothing at all', '', true],
    ['a thought alone', declined, true],
    ['empty tags', `${declined} <bbox></bbox>, <points> [ ] </points>, <labels>[]\n</labels>`, true],
    ['a box', `${declined} <bbox>[1,2,3,4]</bbox>`, false],
    ['a box that cannot be read', `${declined} <bbox>[1,2]</bbox>`, false],
    ['points', `${declined} <points>[[1,2]]</points>`, false],
    ['a box by another name', `${declined} <box>[1,2,3,4]<\\box>`, false],
    ['a box in JSON', '{"bbox_2d": [1,2,3,4]}', false],
    ['a tag that is not closed', `${declined} <bbox>`, false],
  ])('%s', (_, text, expected) => expect(abstains({ text, finish: 'stop' })).toBe(expected));

  it('takes an answer that was cut off for none', () =>
    expect(abstains({ text: declined, finish: 'length' })).toBe(false));
});
