import { describe, expect, it } from 'vitest';

import { vespo } from '../../src/objectives/vespo.js';
import { stopGradient } from '../../src/tensor/ops.js';
import { advantage, close, completionOf, fed, overCompletion, terms, traced } from './traced.js';

const moved = overCompletion((i) => fed.logProbs[i] - fed.oldLogProbs[i], 'sum');
const mismatch = overCompletion(
  (i) => Math.log(Math.min(1.2, Math.exp(fed.oldLogProbs[i] - fed.samplerLogProbs[i]))),
  'sum',
);
const gamma = (logRatio: number, completion: number): number => {
  const [k, lambda] = fed.advantages[completion] >= 0 ? [2, 3] : [3, 2];
  return Math.exp(logRatio) ** k * Math.exp(lambda * (1 - Math.exp(logRatio)));
};

describe('vespo', () => {
  it('weighs a completion by w^k exp(λ (1 - w)), w the product of its ratios', () => {
    const { loss, slope, reports } = traced(vespo(0));
    close(reports['gamma'], (completion) => gamma(moved(completion), completion));
    close(loss, (i) => -gamma(moved(completionOf(i)), completionOf(i)) * advantage(i) * fed.logProbs[i]);
    close(slope, (i) => -gamma(moved(completionOf(i)), completionOf(i)) * advantage(i));
    expect(vespo(0)).toMatchObject({ name: 'vespo 0 2 3 3 2', average: 'token' });
  });

  it('takes the mismatch into w', () => {
    const { reports } = traced(vespo(0, { correction: { level: 'token', beyond: 'truncate', max: 1.2 } }));
    close(reports['gamma'], (completion) => gamma(moved(completion) + mismatch(completion), completion));
  });

  it('is the plain policy gradient where the policy wrote the tokens itself', () => {
    const { slope } = traced(vespo(0), { ...terms, oldLogProbs: stopGradient(terms.logProbs) });
    close(slope, (i) => -advantage(i));
  });
});
