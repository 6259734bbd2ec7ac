import { describe, expect, it } from 'vitest';

import { mismatchWeights, type Correction } from '../../src/objectives/mismatch.js';
import { interpret } from '../tensor/interpret.js';
import { close, fed, overCompletion, terms } from './traced.js';

const weights = (correction: Correction): Float64Array => interpret([mismatchWeights(terms, correction)], fed)[0].data;
const apart = (i: number): number => fed.oldLogProbs[i] - fed.samplerLogProbs[i];
const ofToken = (i: number): number => (fed.mask[i] === 1 ? Math.exp(apart(i)) : 1);
const ofCompletion = (i: number): number => Math.exp(overCompletion(apart, 'sum')(i));
const within = (weight: number): boolean => weight >= 0.8 && weight <= 1.2;

describe('mismatchWeights', () => {
  it.each([
    ['token', ofToken],
    ['sequence', ofCompletion],
  ] as const)('of a %s', (level, weight) => {
    close(weights({ level, beyond: 'truncate', max: Infinity }), weight);
    close(weights({ level, beyond: 'truncate', max: 1.2 }), (i) => Math.min(weight(i), 1.2));
    close(weights({ level, beyond: 'truncate', max: 1.2, min: 0.8 }), (i) => Math.min(Math.max(weight(i), 0.8), 1.2));
    close(weights({ level, beyond: 'mask', max: 1.2 }), (i) => (weight(i) > 1.2 ? 0 : weight(i)));
    close(weights({ level, beyond: 'mask', max: 1.2, min: 0.8 }), (i) => (within(weight(i)) ? weight(i) : 0));
  });

  it('are 1 where the sampler was right', () => {
    const [{ data }] = interpret(
      [
        mismatchWeights(
          { ...terms, samplerLogProbs: terms.oldLogProbs },
          { level: 'sequence', beyond: 'mask', max: 3 },
        ),
      ],
      fed,
    );
    expect([...data]).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('need a sampler', () => {
    const { samplerLogProbs: _, ...without } = terms;
    expect(() => mismatchWeights(without, { level: 'token', beyond: 'mask', max: 2 })).toThrow(
      'mismatchWeights: expected log-probs of the sampler; got none',
    );
  });
});
