import { describe, expect, it } from 'vitest';

import type { Sampling } from '../../../src/models/policy.js';
import { draw, greedy, narrow, penalise, suppress } from '../../../src/models/vlm/sample.js';
import { reachable, type Tensor } from '../../../src/tensor/graph.js';
import { input } from '../../../src/tensor/ops.js';
import { interpret } from '../../tensor/interpret.js';

const vocab = 4;
const logits = (rows: number): Tensor => input('logits', 'float32', { prompt: 1, sample: rows, vocab });
const shares = [0.1, 0.2, 0.3, 0.4];
const flat = (rows: number, values: readonly number[]): number[] => Array.from({ length: rows }, () => values).flat();

function drawn(
  uniforms: readonly number[],
  values: readonly number[],
  temperature = 1,
  suppressed: readonly number[] = [],
): { tokens: number[]; logProbs: number[] } {
  const rows = uniforms.length;
  const { token, logProb } = draw(
    suppress(logits(rows), suppressed),
    input('uniform', 'float32', { prompt: 1, sample: rows }),
    input('temperature', 'float32', {}),
  );
  const [tokens, logProbs] = interpret([token, logProb], {
    logits: flat(rows, values),
    uniform: uniforms,
    temperature: [temperature],
  });
  return { tokens: [...tokens.data], logProbs: [...logProbs.data] };
}

describe('draw', () => {
  const logs = shares.map(Math.log);

  it('takes the first token whose cumulative probability exceeds the draw', () => {
    const { tokens, logProbs } = drawn([0, 0.09, 0.11, 0.29, 0.31, 0.59, 0.61, 0.999], logs);
    expect(tokens).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    for (const [i, token] of tokens.entries()) expect(logProbs[i]).toBeCloseTo(logs[token], 6);
  });

  it('divides by the temperature', () => {
    const squared = shares.map((p) => p * p);
    const all = squared.reduce((sum, p) => sum + p, 0);
    const { tokens, logProbs } = drawn([0.03, 0.04, 0.46, 0.47], logs, 0.5);
    expect(tokens).toEqual([0, 1, 2, 3]);
    for (const [i, token] of tokens.entries()) expect(logProbs[i]).toBeCloseTo(Math.log(squared[token] / all), 6);
  });

  it('takes the last possible token where rounding leaves none', () => {
    expect(drawn([1, 1], [0, 0, -1e4, -1e4]).tokens).toEqual([1, 1]);
  });

  it('never gives a suppressed token, and shares its part out', () => {
    const { tokens, logProbs } = drawn([0, 0.14, 0.15, 0.99], logs, 1, [0, 2]);
    expect(tokens).toEqual([1, 1, 1, 3]);
    expect(logProbs[0]).toBeCloseTo(Math.log(0.2 / 0.6), 6);
  });
});

describe('narrow', () => {
  /** What is left of probabilities, as 0 and 1. */
  const left = (values: readonly number[], limits: Sampling): number[] => {
    const [kept] = interpret([narrow(input('logits', 'float32', { vocab: values.length }), limits)], {
      logits: values.map(Math.log),
    });
    return [...kept.data].map((logit) => Number(logit > -1e29));
  };

  it.each<readonly [string, readonly number[], Sampling, readonly number[]]>([
    ['the k likeliest', [0.1, 0.4, 0.2, 0.3], { topK: 2 }, [0, 1, 0, 1]],
    ['what ties with the k-th', [0.2, 0.3, 0.3, 0.2], { topK: 3 }, [1, 1, 1, 1]],
    ['all, where k is more', [0.1, 0.9], { topK: 9 }, [1, 1]],
    ['all but the least likely with no more than 1 - topP', [0.15, 0.4, 0.05, 0.4], { topP: 0.78 }, [0, 1, 0, 1]],
    ['one that would take them over', [0.15, 0.4, 0.05, 0.4], { topP: 0.82 }, [1, 1, 0, 1]],
    ['the likeliest, however small topP', [0.1, 0.4, 0.2, 0.3], { topP: 1e-9 }, [0, 1, 0, 0]],
    ['as many of equals as topP asks for, the last', [0.2, 0.2, 0.2, 0.2, 0.2], { topP: 0.5 }, [0, 0, 1, 1, 1]],
    ['one of equals', [0.25, 0.25, 0.25, 0.25], { topP: 1e-9 }, [0, 0, 0, 1]],
    ['shares of the likeliest', [0.09, 0.4, 0.21, 0.3], { minP: 0.5 }, [0, 1, 1, 1]],
    ['the likeliest ones alone', [0.4, 0.2, 0.4], { minP: 1 }, [1, 0, 1]],
    ['of the k likeliest their own topP', [0.1, 0.4, 0.2, 0.3], { topK: 3, topP: 0.77 }, [0, 1, 0, 1]],
    ['of topP what minP leaves', [0.1, 0.5, 0.15, 0.25], { topP: 0.8, minP: 0.6 }, [0, 1, 0, 0]],
    ['all', [0.1, 0.4, 0.2, 0.3], { topK: 0, topP: 1, minP: 0 }, [1, 1, 1, 1]],
  ])('leaves %s', (_, values, limits, expected) => expect(left(values, limits)).toEqual(expected));

  it('costs nothing where it is off', () => {
    const kinds = (limits?: Sampling): string[] => {
      const { token, logProb } = draw(
        logits(1),
        input('uniform', 'float32', { prompt: 1, sample: 1 }),
        input('temperature', 'float32', {}),
        limits,
      );
      return reachable([token, logProb]).map(({ op }) => op.kind);
    };
    expect(kinds({ topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, entropy: false })).toEqual(kinds());
    expect(kinds({ topK: 1 }).length).toBeGreaterThan(kinds().length);
  });

  it('is before the draw: what is left shares everything, and has the log-probs and the entropy', () => {
    const { token, logProb, entropy } = draw(
      logits(3),
      input('uniform', 'float32', { prompt: 1, sample: 3 }),
      input('temperature', 'float32', {}),
      { topK: 2 },
    );
    const fed = {
      logits: flat(
        3,
        shares.map((p) => Math.log(p) / 2),
      ),
      uniform: [0, 0.42, 0.43],
      temperature: [0.5],
    };
    const [tokens, logProbs, entropies] = interpret([token, logProb, entropy], fed).map(({ data }) => [...data]);
    expect(tokens).toEqual([2, 2, 3]);
    expect(logProbs[0]).toBeCloseTo(Math.log(3 / 7), 6);
    expect(logProbs[2]).toBeCloseTo(Math.log(4 / 7), 6);
    for (const each of entropies) expect(each).toBeCloseTo(-(3 / 7) * Math.log(3 / 7) - (4 / 7) * Math.log(4 / 7), 6);
  });
});

describe('penalise', () => {
  it('divides what is above 0 and multiplies the rest, where it was seen', () => {
    const [own] = interpret([penalise(logits(2), input('seen', 'bool', { prompt: 1, sample: 2, vocab }), 2)], {
      logits: [3, -3, 0, 3, 1, 1, -1, -1],
      seen: [1, 1, 1, 0, 0, 1, 0, 1],
    });
    expect([...own.data]).toEqual([1.5, -6, 0, 3, 1, 0.5, -1, -2]);
  });
});

describe('greedy', () => {
  it('takes the first of the likeliest tokens', () => {
    const { token, logProb, entropy } = greedy(logits(2));
    const [tokens, logProbs, entropies] = interpret([token, logProb, entropy], { logits: [0, 1, 1, -5, 3, 1, 1, 1] });
    expect([...tokens.data]).toEqual([1, 0]);
    expect(logProbs.data[0]).toBeCloseTo(1 - Math.log(1 + 2 * Math.E + Math.exp(-5)), 6);
    const likely = Math.exp(2) / (Math.exp(2) + 3);
    expect(entropies.data[1]).toBeCloseTo(-likely * Math.log(likely) - (1 - likely) * Math.log((1 - likely) / 3), 6);
  });
});
