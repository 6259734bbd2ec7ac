import { expect } from 'vitest';

import type { Objective, Terms } from '../../src/objectives/objective.js';
import { uniform } from '../../src/random.js';
import { gradient } from '../../src/tensor/gradient.js';
import type { Tensor } from '../../src/tensor/graph.js';
import { expand, input, total } from '../../src/tensor/ops.js';
import { interpret } from '../tensor/interpret.js';

export const size = { prompt: 2, sample: 3, token: 4 };
export const tokens = 24;
const draw = (name: string, low: number, high: number, n = tokens): number[] =>
  Array.from({ length: n }, (_, i) => low + (high - low) * uniform(name, i));

/**
 * Ratios from e^-0.8 to e^0.8, on either side of every clip, with advantages of both signs; completions of 4, 4, 2, 1,
 * 3 and 0 tokens.
 */
export const fed = {
  logProbs: draw('new', -3, -2.2),
  oldLogProbs: draw('old', -3, -2.2),
  refLogProbs: draw('reference', -4, -1),
  samplerLogProbs: draw('sampler', -3, -2.2),
  advantages: draw('advantage', -2, 2, 6),
  mask: [4, 4, 2, 1, 3, 0].flatMap((length) => Array.from({ length: 4 }, (_, t) => (t < length ? 1 : 0))),
  picked: draw('picked', 0, 1).map(Math.round),
};

const per = (name: string): Tensor => input(name, 'float32', size);
export const logProbs = per('logProbs');
const { picked: _, ...always } = fed;
export const terms = {
  ...(Object.fromEntries(Object.keys(always).map((name) => [name, per(name)])) as unknown as Terms),
  logProbs,
  advantages: input('advantages', 'float32', { prompt: 2, sample: 3 }),
};

/** Loss a token, what its sum changes with each log-prob, and what is reported. */
export function traced(
  objective: Objective,
  given: Terms = terms,
): { loss: Float64Array; slope: Float64Array; reports: Record<string, Float64Array> } {
  const { loss, reports } = objective.trace(given);
  const whole = expand(loss, logProbs.shape);
  const [value, slope, ...rest] = interpret(
    [whole, gradient(total(whole), [logProbs])[0], ...Object.values(reports)],
    fed,
  );
  expect(value.shape).toEqual(logProbs.shape);
  return {
    loss: value.data,
    slope: slope.data,
    reports: Object.fromEntries(Object.keys(reports).map((name, i) => [name, rest[i].data])),
  };
}

export function close(own: ArrayLike<number>, expected: (i: number) => number): void {
  for (const [i, value] of Array.from(own).entries()) expect(value, `place ${i}`).toBeCloseTo(expected(i), 6);
}

/** Of the completion that a token belongs to. */
export const advantage = (i: number): number => fed.advantages[Math.floor(i / size.token)];
export const ratio = (i: number): number => Math.exp(fed.logProbs[i] - fed.oldLogProbs[i]);
export const k3 = (i: number): number =>
  Math.exp(fed.refLogProbs[i] - fed.logProbs[i]) - (fed.refLogProbs[i] - fed.logProbs[i]) - 1;

/** Of each completion, 0 where it has no tokens. */
export function overCompletion(value: (i: number) => number, how: 'mean' | 'sum'): (completion: number) => number {
  return (completion) => {
    const counted = Array.from({ length: size.token }, (__, t) => completion * size.token + t).filter(
      (i) => fed.mask[i] === 1,
    );
    const all = counted.reduce((sum, i) => sum + value(i), 0);
    return how === 'sum' ? all : all / Math.max(1, counted.length);
  };
}
export const completionOf = (i: number): number => Math.floor(i / size.token);
