import { describe, expect, it } from 'vitest';

import { draw, greedy, suppress } from '../../../src/models/qwen/sample.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { input } from '../../../src/tensor/ops.js';
import { interpret } from '../../tensor/interpret.js';

const vocab = 4;
const logits = (rows: number): Tensor => input('logits', 'float32', { prompt: 1, sample: rows, vocab });
const shares = [0.1, 0.2, 0.3, 0.4];
const flat = (rows: number, values: readonly number[]): number[] => Array.from({ length: rows }, () => values).flat();

function drawn(uniforms: readonly number[], values: readonly number[], temperature = 1, suppressed: readonly number[] = []): { tokens: number[]; logProbs: number[] } {
  const rows = uniforms.length;
  const { token, logProb } = draw(suppress(logits(rows), suppressed), input('uniform', 'float32', { prompt: 1, sample: rows }), input('temperature', 'float32', {}));
  const [tokens, logProbs] = interpret([token, logProb], { logits: flat(rows, values), uniform: uniforms, temperature: [temperature] });
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

describe('greedy', () => {
  it('takes the first of the likeliest tokens', () => {
    const { token, logProb } = greedy(logits(2));
    const [tokens, logProbs] = interpret([token, logProb], { logits: [0, 1, 1, -5, 3, 1, 1, 1] });
    expect([...tokens.data]).toEqual([1, 0]);
    expect(logProbs.data[0]).toBeCloseTo(1 - Math.log(1 + 2 * Math.E + Math.exp(-5)), 6);
  });
});
