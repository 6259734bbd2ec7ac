import { describe, expect, it } from 'vitest';

import { klEstimate } from '../../src/objectives/kl.js';
import { gradient } from '../../src/tensor/gradient.js';
import { total } from '../../src/tensor/ops.js';
import { interpret } from '../tensor/interpret.js';
import { close, fed, k3, logProbs, terms } from './traced.js';

describe('klEstimate', () => {
  it('is exp(r - p) - (r - p) - 1, and never negative', () => {
    const [{ data }] = interpret([klEstimate(terms)], fed);
    close(data, k3);
    expect(Math.min(...data)).toBeGreaterThanOrEqual(0);
  });

  it('is 0 with slope 0 where the policies agree', () => {
    const same = klEstimate({ ...terms, refLogProbs: terms.logProbs });
    const [value, slope] = interpret([same, gradient(total(same), [logProbs])[0]], fed);
    expect([...value.data, ...slope.data].every((x) => x === 0)).toBe(true);
  });

  it('needs a reference', () => {
    const { refLogProbs: _, ...without } = terms;
    expect(() => klEstimate(without)).toThrow('klEstimate: expected log-probs of a reference policy; got none');
  });
});
