import { from, lastValueFrom, toArray, type OperatorFunction } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { advantage, batchAdvantages, groupAdvantages, partAdvantages } from '../../src/operators/advantage.js';
import type { Advantaged, Scored } from '../../src/records.js';

describe('advantage', () => {
  it('emits each group when it arrives, marked ones as they are, and completes with its source', () => {
    const marked = { ...scored(0, 1), skipped: { stage: 'load', reason: 'no file' } };
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      const groups = cold(' -a-b-c-|', { a: scored(0, 1), b: scored(1, 1), c: marked });
      const expected = '    -x-y-c-|';
      const values = {
        x: { ...scored(0, 1), advantages: [-0.5, 0.5] },
        y: { ...scored(1, 1), advantages: [0, 0] },
        c: marked,
      };
      expectObservable(groups.pipe(advantage({ scale: 'none' }))).toBe(expected, values);
    });
  });

  it('passes an error on', () => {
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      expectObservable(cold<Scored>('-#').pipe(advantage())).toBe('-#');
    });
  });

  it('waits for the groups of a step where the spread is theirs, marked ones passing by', async () => {
    const marked = { ...scored(0, 1), skipped: { stage: 'load', reason: 'no file' } };
    const rows = [scored(0, 1), marked, scored(2, 4), scored(1, 1)];
    const all = await lastValueFrom(from(rows).pipe(advantage({ scale: 'batch', groupsPerStep: 2 }), toArray()));
    const [first, second] = batchAdvantages([
      [0, 1],
      [2, 4],
    ]);
    expect(all).toEqual([
      marked,
      { ...rows[0], advantages: first },
      { ...rows[2], advantages: second },
      { ...rows[3], advantages: [0, 0] },
    ]);
  });

  it('scales parts by what they are worth', async () => {
    const row = { ...scored(0, 1), rewards: { total: [0, 1], byName: { format: [0, 1], iou: [0.4, 0.2] } } };
    const [{ advantages }] = await lastValueFrom(
      from([row]).pipe(advantage({ scale: 'parts', weights: { iou: 2 } }), toArray()),
    );
    expect(advantages).toEqual(partAdvantages([{ iou: row.rewards.byName.iou }], { iou: 2 })[0]);
  });

  it('widens the row by one column and refuses an unknown scale', () => {
    expectTypeOf(advantage<Scored>()).toEqualTypeOf<OperatorFunction<Scored, Scored & Advantaged>>();
    expect(() => advantage({ scale: 'set' as never })).toThrow('group');
  });
});

describe('groupAdvantages', () => {
  // python 3, statistics module: (x - mean(r)) / (stdev(r) + 1e-4) for x in r
  it.each([
    [
      [1, 0, 0, 1],
      ['0.86588', '-0.86588', '-0.86588', '0.86588'],
    ],
    [
      [1.8, 1.2, 0, 1],
      ['1.06890', '0.26723', '-1.33613', '0.00000'],
    ],
  ])('agrees with python on %j', (rewards, expected) => {
    expect(groupAdvantages(rewards, 'group').map((a) => a.toFixed(5))).toEqual(expected);
  });

  it('leaves an unscorable reward out of the mean and gives it 0', () => {
    expect(groupAdvantages([NaN, 1, 3, NaN], 'none')).toEqual([0, -1, 1, 0]);
  });

  it.each([[[]], [[1]], [[NaN, NaN]], [[NaN, 2, NaN]], [[0.1, 0.1, 0.1]], [[0.7, NaN, 0.7]]])(
    'gives %j exact zeros',
    (rewards) => {
      for (const scale of ['group', 'none'] as const)
        expect(groupAdvantages(rewards, scale)).toEqual(rewards.map(() => 0));
    },
  );
});

describe('batchAdvantages', () => {
  // python 3, statistics.stdev([1, 0, 0.5, 0.9]) = 0.4546061: (x - mean(group)) / (stdev + 1e-4)
  it('divides by the spread of all', () => {
    expect(
      batchAdvantages([
        [1, 0],
        [0.5, 0.9],
      ])
        .flat()
        .map((a) => a.toFixed(5)),
    ).toEqual(['1.09961', '-1.09961', '-0.43984', '0.43984']);
  });

  it('gives exact zeros to groups without a difference, and to what cannot be scored', () => {
    expect(
      batchAdvantages([
        [0.1, 0.1, 0.1],
        [NaN, 1, NaN],
        [NaN, NaN, NaN],
      ]),
    ).toEqual([
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ]);
  });
});

describe('partAdvantages', () => {
  it('lets no part drown another', () => {
    const [[first, second]] = partAdvantages([{ large: [1000, 0], small: [0, 0.9] }]);
    expect(Math.abs(first + second)).toBeLessThan(1e-12);
    expect(Math.abs(first)).toBeLessThan(1);
  });

  it('leaves out parts of no worth, named or not, and what no part scores', () => {
    expect(partAdvantages([{ a: [NaN, 1, 0], b: [5, 5, 5], c: [0, 0, 9] }], { a: 1, b: 0 })[0].map(Math.sign)).toEqual([
      0, 1, -1,
    ]);
    expect(partAdvantages([{ a: [0.3, 0.3], b: [0.1, 0.1] }])).toEqual([[0, 0]]);
    expect(partAdvantages([{}])).toEqual([[]]);
  });
});

function scored(...total: number[]): Scored {
  const frame = { width: 4, height: 4 };
  const none = { prompt: '', promptTokens: [], completions: [], policyVersion: 0, prompts: [], formats: [], masks: [] };
  return {
    id: '0/0/a',
    image: { path: 'a.jpg' },
    task: 'segment',
    frame,
    original: frame,
    ...none,
    rewards: { total, byName: {} },
  };
}
