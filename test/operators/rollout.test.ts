import { concat, from, lastValueFrom, of, Subject, throwError, toArray, type OperatorFunction } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';

import type { GeneratedCompletion } from '../../src/models/policy.js';
import { hash } from '../../src/random.js';
import { rollout } from '../../src/operators/rollout.js';
import type { RolledOut, Sample } from '../../src/records.js';
import { gate, later, until, type Gate } from '../waiting.js';
import { blank, marked, missing, sample, stubPolicy } from './stub-policy.js';

const rows = (n: number): Sample[] => Array.from({ length: n }, (_, i) => sample(`row ${i}`));
const one: GeneratedCompletion = { tokens: [1], logProbs: [-1], finish: 'length', version: 3 };

describe('rollout', () => {
  it('adds what the policy was told and what it wrote', async () => {
    const policy = stubPolicy();
    policy.version = 4;
    const written = await lastValueFrom(
      from(rows(1)).pipe(rollout({ policy, readImage: blank, seed: 7 }, { group: 2, temperature: 0.8, maxTokens: 9 })),
    );
    expect(written).toMatchObject({
      ...sample('row 0'),
      prompt: 'row 0',
      promptTokens: Array.from('row 0', (sign) => sign.charCodeAt(0)),
      policyVersion: 4,
      sampling: { temperature: 0.8, repetitionPenalty: 1, topK: 0, topP: 1, minP: 0, maxTokens: 9 },
    });
    expect(written.completions.map(({ text, tokens, finish }) => [text, tokens, finish])).toEqual([
      ['0+7', [0, 7], 'stop'],
      ['1+7', [1, 7], 'stop'],
    ]);
    const off = { repetitionPenalty: 1, topK: 0, topP: 1, minP: 0, entropy: false };
    const { prompts, ...how } = policy.asked.written[0];
    expect(prompts.map(({ text }) => text)).toEqual(['row 0']);
    expect(how).toEqual({
      group: 2,
      temperature: 0.8,
      maxTokens: 9,
      ...off,
      // Of the seed and the row's id.
      random: { keys: [[hash('rollout', 7, 'row 0')]] },
    });
  });

  it('says which weights wrote, even where a step came between asking and writing', async () => {
    const [stepped, begun]: [Gate, string[]] = [gate(), []];
    const policy = stubPolicy({
      batch: 1,
      generate: async ({ prompts }) => {
        if (prompts[0]?.text === 'row 1') await stepped.passed;
        else begun.push('row 0');
        return prompts.map(() => [{ ...one, version: policy.version }]);
      },
    });
    const running = lastValueFrom(from(rows(2)).pipe(rollout({ policy, readImage: blank, seed: 7 }), toArray()));
    await until(() => begun.length === 1);
    policy.version = 5;
    stepped.open();
    expect((await running).map(({ policyVersion }) => policyVersion)).toEqual([0, 5]);
  });

  it.each([NaN, Infinity, -Infinity])('marks a row of which the policy computes %d, and no other', async (logProb) => {
    const policy = stubPolicy({
      generate: async ({ prompts }) =>
        prompts.map(({ text }) => [one, text === 'row 1' ? { ...one, logProbs: [logProb] } : one]),
    });
    const written = await lastValueFrom(
      from(rows(3)).pipe(rollout({ policy, readImage: blank, seed: 7 }, { group: 2 }), toArray()),
    );
    expect(written.map(({ skipped }) => skipped?.reason)).toEqual([
      undefined,
      `policy  log-probs: expected finite numbers; got ${logProb}; way out: precision: float32, or other weights`,
      undefined,
    ]);
  });

  it('hands on how to sample, and the entropies that come of it', async () => {
    const policy = stubPolicy({
      generate: async ({ prompts, topP = 0 }) => prompts.map(() => [{ ...one, entropies: [topP] }]),
    });
    const sampling = { repetitionPenalty: 1.1, topK: 20, topP: 0.9, minP: 0.05, entropy: true };
    const { completions, policyVersion } = await lastValueFrom(
      from(rows(1)).pipe(rollout({ policy, readImage: blank, seed: 7 }, sampling)),
    );
    const { version, ...written } = one;
    expect([completions, policyVersion]).toEqual([[{ ...written, text: '1', entropies: [0.9] }], version]);
  });

  it('keeps rows in order while later runs end first, with no more than `inflight` of them', async () => {
    let [running, most, started] = [0, 0, 0];
    const [three, second] = [gate(), gate()];
    const policy = stubPolicy({
      generate: async ({ prompts }) => {
        const run = started++;
        most = Math.max(most, ++running);
        if (started === 3) three.open();
        await three.passed;
        if (run === 0) await second.passed;
        running--;
        if (run === 1) second.open();
        return prompts.map(() => [one]);
      },
    });
    const all = await lastValueFrom(
      from(rows(9)).pipe(rollout({ policy, readImage: blank, seed: 7 }, { inflight: 3 }), toArray()),
    );
    expect(all.map(({ id }) => id)).toEqual(rows(9).map(({ id }) => id));
    expect([most, started]).toEqual([3, 5]);
  });

  it('draws by seed, row, completion and token, whatever the batches', async () => {
    const drawn = async (
      batch: number,
      seed: number,
      source: readonly Sample[],
    ): Promise<Record<string, readonly (readonly number[])[]>> => {
      const all = await lastValueFrom(
        from(source).pipe(rollout({ policy: stubPolicy({ batch }), readImage: blank, seed }, { group: 3 }), toArray()),
      );
      return Object.fromEntries(all.map(({ id, completions }) => [id, completions.map(({ logProbs }) => logProbs)]));
    };
    const alone = await drawn(1, 7, rows(5));
    expect(await drawn(3, 7, rows(5).toReversed())).toEqual(alone);
    expect(new Set(Object.values(alone).flat(2)).size).toBe(5 * 3 * 2);
    expect((await drawn(1, 8, rows(1)))['row 0']).not.toEqual(alone['row 0']);
  });

  it('lets marked rows by, and marks those whose image cannot be read', async () => {
    const policy = stubPolicy();
    const all = await lastValueFrom(
      of(marked('a'), sample('b'), sample('c'), marked('d'), sample('e')).pipe(
        rollout({ policy, readImage: missing('b.jpg'), seed: 7 }),
        toArray(),
      ),
    );
    expect(all.map(({ id, skipped }) => [id, skipped?.stage, skipped?.reason])).toEqual([
      ['a', 'load', 'no file'],
      ['b', 'rollout', 'b.jpg: no such file'],
      ['c', undefined, undefined],
      ['d', 'load', 'no file'],
      ['e', undefined, undefined],
    ]);
    expect(policy.asked.written.flatMap(({ prompts }) => prompts.map(({ text }) => text))).toEqual(['c', 'e']);
  });

  it("errors with the policy's own fault, and passes the source's on", async () => {
    const broken = stubPolicy({ generate: () => Promise.reject(new Error('out of memory')) });
    await expect(
      lastValueFrom(from(rows(3)).pipe(rollout({ policy: broken, readImage: blank, seed: 7 }))),
    ).rejects.toThrow('out of memory');
    const failing = concat(
      from(rows(1)),
      throwError(() => new Error('source')),
    );
    await expect(
      lastValueFrom(failing.pipe(rollout({ policy: stubPolicy(), readImage: blank, seed: 7 }))),
    ).rejects.toThrow('source');
  });

  it('takes no further row once unsubscribed', async () => {
    const source = new Subject<Sample>();
    const policy = stubPolicy({ batch: 1 });
    const subscription = source.pipe(rollout({ policy, readImage: blank, seed: 7 }, { inflight: 1 })).subscribe();
    for (const row of rows(3)) source.next(row);
    subscription.unsubscribe();
    expect(source.observed).toBe(false);
    await until(() => policy.asked.written.length > 0);
    await later(10);
    expect(policy.asked.written).toHaveLength(1);
  });

  it('widens the row and refuses what makes no sense', () => {
    expectTypeOf(rollout<Sample>({ policy: stubPolicy(), readImage: blank, seed: 7 })).toEqualTypeOf<
      OperatorFunction<Sample, Sample & RolledOut>
    >();
    for (const options of [
      { group: 0 },
      { temperature: -1 },
      { maxTokens: 0 },
      { inflight: 0 },
      { topK: -1 },
      { topP: 0 },
      { topP: 1.1 },
      { minP: 2 },
      { repetitionPenalty: 0 },
      { grup: 8 },
    ])
      expect(() => rollout({ policy: stubPolicy(), readImage: blank, seed: 7 }, options)).toThrow();
  });
});
