import { describe, expect, it } from 'vitest';

import { stageStates } from '../../../src/pipelines/run/memories.js';

describe('memories', () => {
  it('keeps stages of one name apart, in their order, and gives each what was its own', () => {
    const first = stageStates();
    for (const value of ['a', 'b'])
      expect(first.remember('tally', (again) => `${value} without ${[...again].join()}`)).toBeUndefined();
    const kept = first.kept(new Set(['row']));
    expect(kept).toEqual({ tally: 'a without row', 'tally 2': 'b without row' });
    const second = stageStates(kept);
    expect([
      second.remember('tally', () => 0),
      second.remember('tally', () => 0),
      second.remember('score', () => 0),
    ]).toEqual(['a without row', 'b without row', undefined]);
  });
});
