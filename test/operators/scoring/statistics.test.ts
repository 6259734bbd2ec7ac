import { describe, expect, it } from 'vitest';

import { encodeMask } from '../../../src/io/mask.js';
import { answerQuality, statistics } from '../../../src/operators/scoring/statistics.js';
import { ascii } from '../../ascii.js';
import type { Box, Candidates, Mask, Prompt, Scored } from '../../../src/records.js';

const frame = { width: 8, height: 4 };
const drawn = (drawing: string): Mask => encodeMask(ascii(drawing).bits, frame);
const truth = drawn('.##..... .##..... ........ ........');
const candidates: Candidates = {
  boxes: [
    [5, 0, 7, 3],
    [1, 0, 2, 1],
  ],
  names: ['red', 'blue'],
  target: 1,
  mask: drawn('.##..### .##..### .....### .....###'),
};
const boxed = (...box: Box): Prompt => ({ frame, objects: [{ box, points: [{ x: box[0], y: box[1], label: 1 }] }] });

describe('answerQuality', () => {
  it.each([
    ['the target', boxed(1, 0, 2, 1), { box: 1, where: 1, hit: 1 }],
    ['half of the target', boxed(1, 0, 2, 0), { box: 0.5, where: 0.5, hit: 1 }],
    ['another object', boxed(5, 0, 7, 3), { box: 0, where: 1, hit: 0 }],
    ['too little of the target', boxed(0, 0, 7, 3), { box: 0.125, where: 0.375, hit: 0 }],
    ['nothing', null, { box: 0, where: 0, hit: 0 }],
  ])('of %s', (_, prompt, expected) =>
    expect(answerQuality({ truth, candidates }, prompt, 7)).toMatchObject({
      ...expected,
      points: prompt ? 1 : 0,
      tokens: 7,
    }),
  );

  it('cannot choose where nothing is to be chosen from', () => {
    expect(answerQuality({ truth }, boxed(1, 0, 2, 1), 7)).toMatchObject({ box: 1, where: NaN, hit: NaN });
  });
});

describe('statistics', () => {
  const completion = { text: '', tokens: [1, 2, 3], logProbs: [0, 0, 0], finish: 'stop' as const };
  const row: Scored = {
    id: 'a',
    image: { path: 'a.png' },
    task: '',
    frame,
    original: frame,
    truth,
    candidates,
    prompt: '',
    promptTokens: [],
    policyVersion: 0,
    completions: [completion, { ...completion, tokens: [1], finish: 'length' }],
    prompts: [boxed(1, 0, 2, 1), null],
    formats: [1, 0],
    masks: [truth, null],
    rewards: { total: [2, 0], byName: { format: [1, 0], iou: [1, 0] } },
  };
  it('averages over completions', () => {
    expect(statistics([row])).toEqual({
      reward: 1,
      'rewards/format/mean': 0.5,
      'rewards/iou/mean': 0.5,
      'group/reward_std': Math.SQRT2,
      'answer/box': 0.5,
      'answer/hit': 0.5,
      'answer/where': 0.5,
      'answer/points': 0.5,
      'answer/parsed': 0.5,
      'answer/empty': 0.5,
      'completions/mean_length': 2,
      'completions/clipped_ratio': 0.5,
    });
  });
  it('takes an empty mask for none', () => {
    expect(statistics([{ ...row, masks: [drawn('........ ........ ........ ........'), truth] }])['answer/empty']).toBe(
      0.5,
    );
  });
});
