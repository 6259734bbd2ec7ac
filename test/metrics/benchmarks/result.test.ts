import { describe, expect, it } from 'vitest';

import { compareResults } from '../../../src/metrics/benchmarks/comparison.js';
import { benchmarkResult } from '../../../src/metrics/benchmarks/result.js';
import { verdict } from './verdicts.js';

describe('benchmarkResult', () => {
  it('counts a category in the wider one as well', () => {
    const all = [
      verdict('A/A', { part: 'reasoning/logic', item: '1' }),
      verdict('A/B', { part: 'reasoning/physics', item: '2' }),
      verdict('B/?', { part: 'perception/color', item: '3' }),
    ];
    const result = benchmarkResult('mmbench', all);
    expect(result).toMatchObject({
      benchmark: 'mmbench',
      questions: 3,
      unread: 1,
      scores: { circular: 1 / 3, vanilla: 1 / 3 },
    });
    expect(Object.entries(result.parts).map(([part, { circular }]) => [part, circular])).toEqual([
      ['perception', 0],
      ['perception/color', 0],
      ['reasoning', 0.5],
      ['reasoning/logic', 1],
      ['reasoning/physics', 0],
    ]);
  });

  it('has accuracy for AI2D, without parts where no kind is known', () => {
    expect(benchmarkResult('ai2d', [verdict('A/A'), verdict('B/A', { item: 'two' })])).toEqual({
      benchmark: 'ai2d',
      questions: 2,
      unread: 0,
      scores: { accuracy: 0.5 },
      parts: {},
    });
  });
});

describe('compareResults', () => {
  const before = benchmarkResult('ai2d', [verdict('A/A', { part: 'web' }), verdict('B/A', { part: 'cycle' })]);

  it('takes the one from the other, number by number', () => {
    const after = benchmarkResult('ai2d', [verdict('A/A', { part: 'web' }), verdict('B/B', { part: 'cycle' })]);
    expect(compareResults(before, after)).toEqual([
      { part: '', score: 'accuracy', before: 0.5, after: 1, gain: 0.5 },
      { part: 'cycle', score: 'accuracy', before: 0, after: 1, gain: 1 },
      { part: 'web', score: 'accuracy', before: 1, after: 1, gain: 0 },
    ]);
  });

  it('refuses results on other questions', () => {
    const other = benchmarkResult('pope', [verdict('yes/yes')]);
    expect(() => compareResults(before, other)).toThrow(
      'results: expected two on the same questions; got 2 questions of ai2d and 1 questions of pope',
    );
  });
});
