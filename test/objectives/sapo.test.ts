import { expect, it } from 'vitest';

import { sapo } from '../../src/objectives/sapo.js';
import { stopGradient } from '../../src/tensor/ops.js';
import { advantage, close, ratio, terms, traced } from './traced.js';

const sharpness = (i: number): number => (advantage(i) > 0 ? 1 : 1.05);
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

it('closes a soft gate as the ratio leaves 1', () => {
  close(traced(sapo(0)).loss, (i) => (-sigmoid(sharpness(i) * (ratio(i) - 1)) * 4 * advantage(i)) / sharpness(i));
  expect(sapo(0)).toMatchObject({ name: 'sapo 0 1 1.05', average: 'sequence' });
});

it('is the plain policy gradient where the policy wrote the tokens itself', () => {
  const { slope } = traced(sapo(0, { positive: 2, negative: 3 }), {
    ...terms,
    oldLogProbs: stopGradient(terms.logProbs),
  });
  close(slope, (i) => -advantage(i));
});
