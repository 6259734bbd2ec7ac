import type { OperatorFunction } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { advantage, groupAdvantages } from '../../src/operators/advantage.js';
import type { Advantaged, Scored } from '../../src/records.js';

describe('advantage', () => {
  it('emits each group when it arrives, marked ones as they are, and completes with its source', () => {
    const marked = { ...scored(0, 1), skipped: { stage: 'load', reason: 'no file' } };
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      const groups = cold(' -a-b-c-|', { a: scored(0, 1), b: scored(1, 1), c: marked });
      const expected = '    -x-y-c-|';
      const values = { x: { ...scored(0, 1), advantages: [-0.5, 0.5] }, y: { ...scored(1, 1), advantages: [0, 0] }, c: marked };
      expectObservable(groups.pipe(advantage({ scale: 'none' }))).toBe(expected, values);
    });
  });

  it('passes an error on', () => {
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      expectObservable(cold<Scored>('-#').pipe(advantage())).toBe('-#');
    });
  });

  it('widens the row by one column and refuses an unknown scale', () => {
    expectTypeOf(advantage<Scored>()).toEqualTypeOf<OperatorFunction<Scored, Scored & Advantaged>>();
    expect(() => advantage({ scale: 'batch' as never })).toThrow('group');
  });
});

describe('groupAdvantages', () => {
  // python 3, statistics module: (x - mean(r)) / (stdev(r) + 1e-4) for x in r
  it.each([
    [[1, 0, 0, 1], ['0.86588', '-0.86588', '-0.86588', '0.86588']],
    [[1.8, 1.2, 0, 1], ['1.06890', '0.26723', '-1.33613', '0.00000']],
  ])('agrees with python on %j', (rewards, expected) => {
    expect(groupAdvantages(rewards, 'group').map((a) => a.toFixed(5))).toEqual(expected);
  });

  it('leaves an unscorable reward out of the mean and gives it 0', () => {
    expect(groupAdvantages([NaN, 1, 3, NaN], 'none')).toEqual([0, -1, 1, 0]);
  });

  it.each([[[]], [[1]], [[NaN, NaN]], [[NaN, 2, NaN]], [[0.1, 0.1, 0.1]], [[0.7, NaN, 0.7]]])('gives %j exact zeros', (rewards) => {
    for (const scale of ['group', 'none'] as const) expect(groupAdvantages(rewards, scale)).toEqual(rewards.map(() => 0));
  });
});

function scored(...total: number[]): Scored {
  const frame = { width: 4, height: 4 };
  const none = { prompt: '', promptTokens: [], completions: [], policyVersion: 0, prompts: [], formats: [], masks: [] };
  return { id: '0/0/a', image: { path: 'a.jpg' }, task: 'segment', frame, original: frame, ...none, rewards: { total, byName: {} } };
}
