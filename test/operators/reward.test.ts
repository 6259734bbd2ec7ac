import { setImmediate } from 'node:timers/promises';

import { firstValueFrom, lastValueFrom, of, toArray, type OperatorFunction } from 'rxjs';
import { TestScheduler } from 'rxjs/testing';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { emptyMask, encodeMask } from '../../src/io/mask.js';
import { reward, weightedSum, type RewardFunction } from '../../src/operators/reward.js';
import type { Mask, Masked, Scored } from '../../src/records.js';

const size = { width: 48, height: 64 };
// The discs B … F of Seg-R1's own functions, executed (seg-r1.md, section 2.4).
const truth = disc(20, 30, 225);
const predicted = disc(24, 28, 196);

const named = (name: string, score: RewardFunction['score']): RewardFunction => ({ name, weight: 1, score });

describe('weightedSum', () => {
  it('adds what is weighted and applies', () => {
    expect(weightedSum({ a: [1, 2], b: [NaN, NaN], c: [1, NaN] }, { a: 2, b: 0, c: 0.5 })).toEqual([2.5, 4]);
  });
  it('is NaN where nothing that counts applies', () =>
    expect(weightedSum({ a: [NaN, 0], b: [1, 1] }, { a: 2, b: 0 })).toEqual([NaN, 0]));
  it('lets no number of a part hide an infinity', () =>
    expect(weightedSum({ a: [1], b: [-Infinity] }, { a: 1, b: 1 })).toEqual([-Infinity]));
});

describe('reward', () => {
  it('emits each row when it arrives, marked ones as they are, and completes with its source', () => {
    const marked = { ...masked([truth], truth), skipped: { stage: 'load', reason: 'no file' } };
    const row = masked([emptyMask(size), null], emptyMask(size), [1, 0]);
    new TestScheduler((actual, expected) => expect(actual).toEqual(expected)).run(({ cold, expectObservable }) => {
      const rows = cold('  -a-b-|', { a: row, b: marked });
      const expected = '   -x-b-|';
      const rewards = { total: [1.3, 0], byName: { format: [1, 0], iou: [0, 0], structure: [1, 0] } };
      expectObservable(rows.pipe(reward())).toBe(expected, { x: { ...row, rewards }, b: marked });
    });
  });

  it('weighs 0.7 IoU and 0.3 structure beside the format by default, and what is not named as nothing', async () => {
    const row = masked([predicted], truth);
    expect((await score(row)).rewards.total[0]).toBeCloseTo(1 + 0.70227, 5);
    const { total, byName } = (await score(row, [], { weights: { iou: 1 } })).rewards;
    expect(total[0]).toBeCloseTo(0.664987, 6);
    expect(Object.keys(byName)).toEqual(['format', 'iou', 'structure']);
    expect((await score(row, [], { weights: {} })).rewards.total).toEqual([NaN]);
  });

  it('marks a row whose mask and truth differ in size', async () => {
    const row = await score(masked([{ width: 2, height: 1, counts: [0, 2] }], truth));
    expect(row.skipped).toEqual({
      stage: 'reward',
      reason: 'mask  size: expected two masks of one size; got 2x1 and 48x64',
    });
    expect(row).not.toHaveProperty('rewards');
  });

  it("adds one's own functions, in row order whatever they take", async () => {
    const short: RewardFunction = {
      name: 'short',
      weight: 2,
      score: (row) => (row.id === 'slow' ? setImmediate([0.5]) : [0.25]),
    };
    const rows = [
      { ...masked([null], truth, [0]), id: 'slow' },
      { ...masked([null], truth, [0]), id: 'fast' },
    ];
    const scored = await lastValueFrom(of(...rows).pipe(reward([short]), toArray()));
    expect(scored.map(({ id, rewards }) => [id, rewards.total, rewards.byName['short']])).toEqual([
      ['slow', [1], [0.5]],
      ['fast', [0.5], [0.25]],
    ]);
  });

  it('refuses a name twice, and a function that answers for another number of completions', async () => {
    expect(() => reward([named('iou', () => [1])])).toThrow(
      'reward  functions: expected names that differ; got "iou" twice',
    );
    const wanted = 'reward  own, row 0/0/disc: expected 1 numbers or nulls, one a completion; got';
    await expect(score(masked([null], truth), [named('own', () => [])])).rejects.toThrow(`${wanted} []`);
    await expect(score(masked([null], truth), [named('own', () => ['1'] as never)])).rejects.toThrow(
      `${wanted} "1" for completion 0`,
    );
    await expect(score(masked([null], truth), [named('own', () => 1 as never)])).rejects.toThrow(`${wanted} 1`);
    const shortens = named('own', ({ completions }) => (completions as unknown[]).splice(0) && []);
    await expect(score(masked([null], truth), [shortens])).rejects.toThrow(`${wanted} []`);
    const lost = named('own', () => Promise.reject(new Error('lost')));
    await expect(score(masked([null], truth), [{ ...lost, module: 'own.mjs' }])).rejects.toThrow(
      'reward  own of own.mjs, row 0/0/disc: expected scores; got the error "lost"',
    );
  });

  it.each([
    ['a BigInt', () => [1n], '1n for completion 0'],
    ['nothing', () => [undefined], 'nothing for completion 0'],
    ['a hole', () => Array(1), 'nothing for completion 0'],
    ['a promise in the list', () => [Promise.resolve(1)], 'Promise { 1 } for completion 0'],
    ['a list', () => [[1]], '[1] for completion 0'],
    ['true', () => [true], 'true for completion 0'],
    ['no list', () => new Set([1]), 'Set(1) { 1 }'],
    ['BigInts of a typed array', () => BigInt64Array.of(2n), '2n for completion 0'],
    ['too many', () => [1, 2], '[1,2]'],
  ])('refuses a function that gives %s, by its name', async (_, given, got) => {
    const own = { ...named('own', given as never), module: 'own.mjs' };
    await expect(score(masked([null], truth), [own])).rejects.toThrow(
      new UsageError(`reward  own of own.mjs, row 0/0/disc: expected 1 numbers or nulls, one a completion; got ${got}`),
    );
  });

  it.each([
    [null, 'null'],
    [7n, '7n'],
    [{ a: 1 }, '{"a":1}'],
  ])('tells of a function that throws %o', async (thrown, text) => {
    const own = named('own', () => {
      throw thrown;
    });
    await expect(score(masked([null], truth), [own])).rejects.toThrow(
      `reward  own, row 0/0/disc: expected scores; got the error ${JSON.stringify(text)}`,
    );
  });

  it('takes the numbers of a typed array', async () => {
    const own = named('own', () => Float32Array.of(2) as never);
    expect((await score(masked([null], truth), [own])).rewards.byName['own']).toEqual([2]);
  });

  it('leaves out what is null, and does not ask what weighs nothing', async () => {
    const idle: RewardFunction = { name: 'idle', weight: 0, score: () => Promise.reject(new Error('asked')) };
    const own: RewardFunction = { name: 'own', weight: 1, score: () => [null, 2] };
    const { rewards } = await score(masked([null, null], truth, [1, 1]), [own, idle]);
    expect(rewards).toEqual({
      total: [1, 3],
      byName: { format: [1, 1], iou: [0, 0], structure: [0, 0], own: [NaN, 2] },
    });
  });

  it('scores a row without a truth by what needs none', async () => {
    const { rewards } = await score(masked([truth, null], undefined, [1, 0]));
    expect(rewards).toEqual({ total: [1, 0], byName: { format: [1, 0], iou: [NaN, NaN], structure: [NaN, NaN] } });
    expect((await score(masked([null], undefined), [], { weights: { format: 0 } })).rewards.total).toEqual([NaN]);
  });

  it.each([NaN, Infinity, -Infinity])('tells of a function that gives %d, which is no null', async (value) => {
    const own: RewardFunction = { name: 'own', weight: 1, score: () => [null, value, 2] };
    const { rewards } = await score(masked([null, null, null], truth), [own]);
    expect(rewards).toMatchObject({ total: [1, value, 3], notFinite: `own gave ${value} for completion 1` });
    expect(rewards.byName['own']).toEqual([NaN, value, 2]);
  });

  it('computes the other parts where they weigh anything', async () => {
    const row = masked([truth, null], truth, [1, 0]);
    const weights = { pointCount: 0, tieredIoU: 0.25, length: 1 };
    const { rewards } = await score(row, [], { weights, length: { max: 4, cache: 2 } });
    expect(Object.keys(rewards.byName)).toEqual(['format', 'iou', 'structure', 'length', 'tieredIoU']);
    expect(rewards.total[0]).toBeCloseTo(0.25 * 4, 12);
    expect(() => reward([], { weights })).toThrow('expected { max, cache } beside weights.length');
  });

  it('widens the row by one column and refuses an unknown weight', () => {
    expectTypeOf(reward<Masked>()).toEqualTypeOf<OperatorFunction<Masked, Masked & Scored>>();
    expect(() => reward([], { weights: { lenght: 1 } as never })).toThrow('lenght');
  });
});

function score(row: Masked, ...rest: Parameters<typeof reward>): Promise<Scored> {
  return firstValueFrom(of(row).pipe(reward(...rest)));
}

function masked(
  masks: readonly (Mask | null)[],
  gt: Mask | undefined,
  formats: readonly number[] = masks.map(() => 1),
): Masked {
  const completion = { text: '', tokens: [], logProbs: [], finish: 'stop' as const };
  return {
    id: '0/0/disc',
    image: { path: 'disc.png' },
    task: 'segment',
    frame: size,
    original: size,
    ...(gt && { truth: gt }),
    prompt: '',
    promptTokens: [],
    completions: masks.map(() => completion),
    policyVersion: 0,
    prompts: masks.map(() => null),
    formats,
    masks,
  };
}

/** Pixels within the square root of `reach` of (x, y). */
function disc(x: number, y: number, reach: number): Mask {
  return encodeMask(
    Uint8Array.from({ length: size.width * size.height }, (_, i) =>
      ((i % size.width) - x) ** 2 + (Math.floor(i / size.width) - y) ** 2 <= reach ? 1 : 0,
    ),
    size,
  );
}
