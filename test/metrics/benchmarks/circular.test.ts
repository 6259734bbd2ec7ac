import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { circularScores } from '../../../src/metrics/benchmarks/circular.js';
import { anyVerdicts, verdict } from './verdicts.js';

describe('circularScores', () => {
  it('wants every order of the options right', () => {
    const all = [
      verdict('A/A', { item: 'sure' }),
      verdict('B/B', { item: 'sure', turn: 1 }),
      verdict('A/A', { item: 'always A' }),
      verdict('B/A', { item: 'always A', turn: 1 }),
      verdict('A/?', { item: 'mumbles' }),
      verdict('B/B', { item: 'mumbles', turn: 1 }),
    ];
    expect(circularScores(all)).toEqual({ circular: 1 / 3, vanilla: 2 / 3 });
  });

  it('leaves out a question that was not asked as published', () => {
    expect(circularScores([verdict('A/A', { turn: 1 }), verdict('A/B', { item: 'two' })])).toEqual({
      circular: 0,
      vanilla: 0,
    });
  });

  it('is at most vanilla, both shares', () => {
    fc.assert(
      fc.property(anyVerdicts(['A', 'B', 'C']), (all) => {
        const { circular = NaN, vanilla = NaN } = circularScores(all);
        fc.pre(all.some(({ turn }) => turn === 0));
        expect([circular >= 0, circular <= vanilla, vanilla <= 1]).toEqual([true, true, true]);
      }),
    );
  });
});
