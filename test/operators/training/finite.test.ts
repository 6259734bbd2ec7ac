import { catchError, from, lastValueFrom, of, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { ModelError, NonFiniteError } from '../../../src/errors.js';
import { advantage } from '../../../src/operators/advantage.js';
import {
  finiteLoss,
  finiteRows,
  isSkippedStep,
  skippingSteps,
  markNonFinite,
} from '../../../src/operators/training/finite.js';
import { reward, type RewardFunction } from '../../../src/operators/reward.js';
import { update } from '../../../src/operators/update.js';
import type { Advantaged, Masked } from '../../../src/records.js';
import { advantaged, blank, stubPolicy } from '../stub-policy.js';

const rewarded = (id: string, total: readonly number[]): Advantaged => ({
  ...advantaged(id, [1, 1], [1, -1]),
  rewards: { total, byName: {} },
});

describe('finiteRows', () => {
  it('refuses what a function gave, and says so', () => {
    const row = {
      ...rewarded('a', [NaN, 1]),
      rewards: { total: [NaN, 1], byName: {}, notFinite: 'own gave NaN for completion 0' },
    };
    expect(() => finiteRows([row])).toThrow('own gave NaN for completion 0 in a');
  });
  it('lets unscorable rewards by', () => expect(() => finiteRows([rewarded('a', [NaN, 1])])).not.toThrow());

  it.each([
    ['an infinite reward', rewarded('a', [1, -Infinity]), 'a reward of -Infinity in a'],
    ['an advantage that is none', advantaged('a', [1, 1], [NaN, 0]), 'an advantage of NaN in a'],
    [
      'a log-prob that is none',
      { ...advantaged('a', [1]), completions: [{ text: '', tokens: [1], logProbs: [NaN], finish: 'stop' as const }] },
      'a log-prob of NaN in a',
    ],
  ])('refuses %s', (_, row, message) => expect(() => finiteRows([advantaged('b', [1]), row])).toThrow(message));
});

describe('markSpoilt', () => {
  it('marks rows with a reward that is not finite, and passes others as they are', async () => {
    const rows = [
      rewarded('a', [NaN, 1]),
      rewarded('b', [1, Infinity]),
      { ...rewarded('c', [Infinity]), skipped: { stage: 'mask', reason: 'other' } },
    ];
    const all = await lastValueFrom(from(rows).pipe(markNonFinite(), toArray()));
    expect(all.map(({ skipped }) => skipped)).toEqual([
      undefined,
      { stage: 'reward', reason: 'not finite: a reward of Infinity' },
      { stage: 'mask', reason: 'other' },
    ]);
    expect(all[0]).toBe(rows[0]);
  });
});

describe('finiteLoss', () => {
  it('refuses what is no number', () => expect(() => finiteLoss({ loss: NaN })).toThrow('a loss of NaN'));
  it('asks for no loss', () => expect(() => finiteLoss({ kl: Infinity })).not.toThrow());
});

describe('update', () => {
  it('leaves a step out, marks its rows with the reason, counts it, and learns from the next', async () => {
    const policy = stubPolicy();
    const reports: [number, number | undefined][] = [];
    const rows = [rewarded('a', [1, 0]), rewarded('b', [Infinity, 0]), rewarded('c', [1, 0]), rewarded('d', [0, 1])];
    const all = await lastValueFrom(
      from(rows).pipe(
        update(
          {
            policy,
            readImage: blank,
            temperature: 1,
            report: (step, metrics) => reports.push([step, metrics['left_out/steps']]),
          },
          {
            groupsPerStep: 2,
          },
        ),
        toArray(),
      ),
    );
    expect(all.map(({ skipped, step }) => skipped?.reason ?? step)).toEqual([
      'in a step that was left out: a reward of Infinity in b',
      'not finite: a reward of Infinity',
      1,
      1,
    ]);
    expect(all.slice(0, 2).every(({ skipped }) => isSkippedStep(skipped?.reason ?? ''))).toBe(true);
    expect([reports, policy.asked.steps.length]).toEqual([[[1, 1]], 1]);
  });

  it.each([
    [
      'gradient',
      { step: () => Promise.reject(new NonFiniteError('stub  step 1: expected a finite gradient; got a norm of NaN')) },
      'a norm of NaN',
    ],
    [
      'loss',
      { gradient: async () => ({ gradient: Float32Array.of(1), metrics: { loss: -Infinity } }) },
      'a loss of -Infinity',
    ],
  ])('leaves a step out for its %s, and takes no other', async (_, over, reason) => {
    const policy = stubPolicy(over);
    const rows = ['a', 'b'].map((id) => advantaged(id, [1, 1]));
    const all = await lastValueFrom(
      from(rows).pipe(
        update({ policy, readImage: blank, temperature: 1, report: () => {} }, { groupsPerStep: 2 }),
        toArray(),
      ),
    );
    expect(all.map(({ skipped }) => skipped?.reason)).toEqual(Array(2).fill(expect.stringContaining(reason)));
    expect(policy.version).toBe(0);
  });

  it.each([NaN, Infinity])(
    'leaves a step out for a function that gave %d, however the advantages are taken',
    async (value) => {
      const own: RewardFunction = { name: 'own', weight: 1, score: ({ id }) => (id === 'b' ? [1, value] : [0, 1]) };
      const rows = ['a', 'b', 'c', 'd'].map((id): Masked => advantaged(id, [1, 1]));
      for (const scale of ['group', 'none', 'batch', 'parts'] as const) {
        const left: (number | undefined)[] = [];
        const refill = scale === 'group' || scale === 'none' ? { dynamicSampling: 1 } : {};
        const learn = update(
          {
            policy: stubPolicy(),
            readImage: blank,
            temperature: 1,
            report: (_, metrics) => left.push(metrics['left_out/steps']),
          },
          {
            groupsPerStep: 2,
            ...refill,
          },
        );
        const all = await lastValueFrom(
          from(rows).pipe(reward([own]), advantage({ scale, groupsPerStep: 2 }), learn, toArray()),
        );
        expect(all.map(({ skipped, step }) => skipped?.reason ?? step)).toEqual([
          `in a step that was left out: own gave ${value} for completion 1 in b`,
          `not finite: own gave ${value} for completion 1`,
          1,
          1,
        ]);
        expect(left).toEqual([1]);
      }
    },
  );

  it('keeps the updates on the same rows that were taken before one that is left out, and says so', async () => {
    const losses = [0.5, NaN];
    const policy = stubPolicy({
      gradient: async () => ({ gradient: Float32Array.of(1), metrics: { loss: losses.shift() ?? 0 } }),
    });
    const learn = update(
      { policy, readImage: blank, temperature: 1, report: () => {} },
      { groupsPerStep: 1, updatesPerBatch: 2 },
    );
    const [row] = await lastValueFrom(from([advantaged('a', [1, 1])]).pipe(learn, toArray()));
    expect(row?.skipped?.reason).toBe(
      'in a step that was left out: a loss of NaN, in update 2 on these rows; 1 before it learnt from them',
    );
    expect(policy.version).toBe(1);
  });

  it('ends at the third in a row, behind its rows', async () => {
    const rows = ['a', 'b', 'c', 'd'].map((id) => rewarded(id, [Infinity]));
    const learn = update(
      { policy: stubPolicy(), readImage: blank, temperature: 1, report: () => {} },
      { groupsPerStep: 1 },
    );
    const all = await lastValueFrom(
      from(rows).pipe(
        learn,
        catchError((error: unknown) => of(error)),
        toArray(),
      ),
    );
    expect(all.map((it) => (it instanceof ModelError ? it.message : (it as Advantaged).id))).toEqual([
      'a',
      'b',
      'c',
      'update  expected finite numbers; got 3 steps in a row without: a reward of Infinity in c',
    ]);
  });
});

describe('leavingOut', () => {
  it('counts anew behind a step that was taken, and passes other faults on', async () => {
    const told: number[] = [];
    const bad = new NonFiniteError('nothing');
    const outcomes = [bad, bad, undefined, bad, bad, undefined, new Error('else')];
    const work = skippingSteps('update', (rows: readonly Advantaged[], leftOut) => {
      const outcome = outcomes.shift();
      if (outcome) return Promise.reject(outcome);
      told.push(leftOut);
      return Promise.resolve(rows);
    });
    for (let i = 0; i < 6; i++) await work([advantaged('a', [1])]);
    expect(told).toEqual([2, 2]);
    await expect(work([])).rejects.toThrow('else');
  });
});
