import { catchError, from, lastValueFrom, of, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { ModelError, NonFiniteError } from '../../src/errors.js';
import { finiteLoss, finiteRows, isLeftOut, leavingOut } from '../../src/operators/finite.js';
import { update } from '../../src/operators/update.js';
import type { Advantaged } from '../../src/records.js';
import { advantaged, blank, stubPolicy } from './stub-policy.js';

const named = ({ name }: { name: string }): string => name;
const rewarded = (id: string, total: readonly number[]): Advantaged => ({ ...advantaged(id, [1, 1], [1, -1]), rewards: { total, byName: {} } });

describe('finiteRows', () => {
  it('lets unscorable rewards by', () => expect(() => finiteRows([rewarded('a', [NaN, 1])])).not.toThrow());

  it.each([
    ['an infinite reward', rewarded('a', [1, -Infinity]), 'a reward of -Infinity in a'],
    ['an advantage that is none', advantaged('a', [1, 1], [NaN, 0]), 'an advantage of NaN in a'],
    ['a log-prob that is none', { ...advantaged('a', [1]), completions: [{ text: '', tokens: [1], logProbs: [NaN], finish: 'stop' as const }] }, 'a log-prob of NaN in a'],
  ])('refuses %s', (_, row, message) => expect(() => finiteRows([advantaged('b', [1]), row])).toThrow(message));
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
    const all = await lastValueFrom(from(rows).pipe(update(policy, named, blank, 1, (step, metrics) => reports.push([step, metrics['left_out/steps']]), { groupsPerStep: 2 }), toArray()));
    expect(all.map(({ skipped, step }) => skipped?.reason ?? step)).toEqual(['in a step that was left out: a reward of Infinity in b', 'not finite: a reward of Infinity', 1, 1]);
    expect(all.slice(0, 2).every(({ skipped }) => isLeftOut(skipped?.reason ?? ''))).toBe(true);
    expect([reports, policy.asked.steps.length]).toEqual([[[1, 1]], 1]);
  });

  it.each([
    ['gradient', { step: () => Promise.reject(new NonFiniteError('stub  step 1: expected a finite gradient; got a norm of NaN')) }, 'a norm of NaN'],
    ['loss', { gradient: async () => ({ gradient: Float32Array.of(1), metrics: { loss: -Infinity } }) }, 'a loss of -Infinity'],
  ])('leaves a step out for its %s, and takes no other', async (_, over, reason) => {
    const policy = stubPolicy(over);
    const rows = ['a', 'b'].map((id) => advantaged(id, [1, 1]));
    const all = await lastValueFrom(from(rows).pipe(update(policy, named, blank, 1, () => {}, { groupsPerStep: 2 }), toArray()));
    expect(all.map(({ skipped }) => skipped?.reason)).toEqual(Array(2).fill(expect.stringContaining(reason)));
    expect(policy.version).toBe(0);
  });

  it('ends at the third in a row, behind its rows', async () => {
    const rows = ['a', 'b', 'c', 'd'].map((id) => rewarded(id, [Infinity]));
    const learn = update(stubPolicy(), named, blank, 1, () => {}, { groupsPerStep: 1 });
    const all = await lastValueFrom(from(rows).pipe(learn, catchError((error: unknown) => of(error)), toArray()));
    expect(all.map((it) => (it instanceof ModelError ? it.message : (it as Advantaged).id))).toEqual(['a', 'b', 'c', 'update  expected finite numbers; got 3 steps in a row without: a reward of Infinity in c']);
  });
});

describe('leavingOut', () => {
  it('counts anew behind a step that was taken, and passes other faults on', async () => {
    const told: number[] = [];
    const bad = new NonFiniteError('nothing');
    const outcomes = [bad, bad, undefined, bad, bad, undefined, new Error('else')];
    const work = leavingOut('update', (rows: readonly Advantaged[], leftOut) => {
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
