import { expect, it } from 'vitest';

import { cispo } from '../../src/objectives/cispo.js';
import { advantage, close, fed, k3, ratio, traced } from './traced.js';

it('weighs every log-prob by its ratio, held below a cap', () => {
  const { loss, slope, reports } = traced(cispo(0.04, { max: 1.1 }));
  close(loss, (i) => -Math.min(ratio(i), 1.1) * advantage(i) * fed.logProbs[i] + 0.04 * k3(i));
  close(
    slope,
    (i) => -Math.min(ratio(i), 1.1) * advantage(i) + 0.04 * (1 - Math.exp(fed.refLogProbs[i] - fed.logProbs[i])),
  );
  close(reports['capped'], (i) => (ratio(i) > 1.1 && advantage(i) > 0 ? 1 : 0));
  expect(cispo(0)).toMatchObject({ name: 'cispo 0 5', average: 'token' });
});
