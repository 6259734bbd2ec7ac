import { describe, expect, it } from 'vitest';

import type { Objective, Terms } from '../../src/objectives/objective.js';
import { dapo, grpo, klEstimate, segR1 } from '../../src/objectives/policy-gradient.js';
import { uniform } from '../../src/random.js';
import { gradient } from '../../src/tensor/gradient.js';
import type { Tensor } from '../../src/tensor/graph.js';
import { input, total } from '../../src/tensor/ops.js';
import { interpret } from '../tensor/interpret.js';

const size = { prompt: 2, sample: 3, token: 4 };
const tokens = 24;
const draw = (name: string, low: number, high: number, n = tokens): number[] => Array.from({ length: n }, (_, i) => low + (high - low) * uniform(name, i));
/** Ratios from e^-0.8 to e^0.8, on either side of every clip, with advantages of both signs. */
const fed = {
  logProbs: draw('new', -3, -2.2),
  oldLogProbs: draw('old', -3, -2.2),
  refLogProbs: draw('reference', -4, -1),
  advantages: draw('advantage', -2, 2, 6),
};

const per = (name: string): Tensor => input(name, 'float32', size);
const logProbs = per('logProbs');
const terms: Terms = { logProbs, oldLogProbs: per('oldLogProbs'), refLogProbs: per('refLogProbs'), advantages: input('advantages', 'float32', { prompt: 2, sample: 3 }) };

/** Loss a token, and what its sum changes with each log-prob. */
function traced(objective: Objective, given: Terms = terms): { loss: Float64Array; slope: Float64Array } {
  const loss = objective.loss(given);
  expect(loss.shape).toEqual(logProbs.shape);
  const [value, slope] = interpret([loss, gradient(total(loss), [logProbs])[0]], fed);
  return { loss: value.data, slope: slope.data };
}

function close(own: Float64Array, expected: (i: number) => number): void {
  for (const [i, value] of own.entries()) expect(value, `token ${i}`).toBeCloseTo(expected(i), 6);
}

const advantage = (i: number): number => fed.advantages[Math.floor(i / size.token)];
const ratio = (i: number): number => Math.exp(fed.logProbs[i] - fed.oldLogProbs[i]);
const apart = (i: number): number => fed.refLogProbs[i] - fed.logProbs[i];
const k3 = (i: number): number => Math.exp(apart(i)) - apart(i) - 1;
const clipped = (i: number, low: number, high: number): number => -Math.min(ratio(i) * advantage(i), Math.min(Math.max(ratio(i), 1 - low), 1 + high) * advantage(i));
/** Only where moving the ratio further is not clipped away. */
const clippedSlope = (i: number, low: number, high: number): number => {
  const held = advantage(i) > 0 ? ratio(i) > 1 + high : ratio(i) < 1 - low;
  return held ? 0 : -ratio(i) * advantage(i);
};

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

describe.each([
  ['grpo', grpo, { low: 0.2, high: 0.2 }, 'sequence'],
  ['dapo', dapo, { low: 0.2, high: 0.28 }, 'token'],
] as const)('%s', (name, make, range, average) => {
  it.each([['its own clip', undefined, range], ['another', { low: 0.1, high: 0.5 }, { low: 0.1, high: 0.5 }]])('clips the ratio by %s', (_, given, { low, high }) => {
    const { loss, slope } = traced(make(0, given));
    close(loss, (i) => clipped(i, low, high));
    close(slope, (i) => clippedSlope(i, low, high));
    expect([...slope].filter((s) => s === 0).length).toBeGreaterThan(2);
  });

  it('adds the divergence from the reference', () => {
    const { loss, slope } = traced(make(0.04));
    close(loss, (i) => clipped(i, range.low, range.high) + 0.04 * k3(i));
    close(slope, (i) => clippedSlope(i, range.low, range.high) + 0.04 * (1 - Math.exp(apart(i))));
  });

  it('is told apart by its numbers, and says how it is averaged', () => {
    expect(make(0)).toMatchObject({ kl: 0, average, name: `${name} 0 ${range.low} ${range.high}` });
    expect(new Set([make(0), make(0.1), make(0, { low: 0.1, high: 0.2 }), make(0, { low: 0.2, high: 0.1 })].map((objective) => objective.name)).size).toBe(4);
  });
});

describe('segR1', () => {
  it('is the plain policy gradient: ratio 1, nothing clipped, whoever wrote the tokens', () => {
    const { oldLogProbs: _, ...rest } = terms;
    const { loss, slope } = traced(segR1(0), { ...rest, oldLogProbs: terms.logProbs });
    close(loss, (i) => -advantage(i));
    close(slope, (i) => -advantage(i));
    expect(traced(segR1(0))).toEqual({ loss, slope });
  });

  it('adds the divergence from the reference', () => {
    const { loss, slope } = traced(segR1(0.04));
    close(loss, (i) => -advantage(i) + 0.04 * k3(i));
    close(slope, (i) => -advantage(i) + 0.04 * (1 - Math.exp(apart(i))));
    expect(segR1(0.04)).toMatchObject({ name: 'seg-r1 0.04', kl: 0.04, average: 'sequence' });
  });
});
