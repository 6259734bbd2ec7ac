import { concat, from, lastValueFrom, of, throwError, toArray, type OperatorFunction } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';

import type { Trainable } from '../../src/models/policy.js';
import { sft } from '../../src/operators/sft.js';
import type { Fitted, Thought } from '../../src/records.js';
import { blank, marked, missing, sample, stubPolicy, type StubPolicy } from './stub-policy.js';

type Inputs = (...asked: Parameters<Trainable['supervisedInputs']>) => ReturnType<Trainable['supervisedInputs']>;

/** A policy that teaches, with further inputs of a row where there are some. */
const teaching = (policy: StubPolicy, inputs: Inputs = () => ({ perToken: {} })) =>
  Object.assign(policy, { supervisedInputs: inputs });
const silent = (): void => {};
const fitted = (id: string, text = 'ab'): Fitted => ({
  ...sample(id),
  fitted: { prompt: { frame: { width: 4, height: 4 }, objects: [] }, ious: [], text },
});

describe('sft', () => {
  it('teaches the answers, a mean over the tokens of each step', async () => {
    const policy = stubPolicy();
    const reports: unknown[][] = [];
    const rows = [fitted('a'), fitted('b', 'abcd'), fitted('c')];
    const all = await lastValueFrom(
      from(rows).pipe(
        sft(
          {
            policy: teaching(policy),
            readImage: blank,
            report: (step, metrics, of, tokens) => reports.push([step, metrics, of.length, tokens]),
          },
          {
            rowsPerStep: 2,
            learningRate: 0.1,
          },
        ),
        toArray(),
      ),
    );
    expect(all).toEqual(rows.map((row, i) => ({ ...row, step: 1 + Math.floor(i / 2) })));
    expect(policy.asked.gradients.map(({ loss, temperature }) => [loss, temperature])).toEqual([
      [{ supervised: { patchMask: 0, softNumbers: 0, prompt: 'masked' } }, 1],
      [{ supervised: { patchMask: 0, softNumbers: 0, prompt: 'masked' } }, 1],
    ]);
    const [first, last] = policy.asked.gradients.map(({ rows: batch }) => batch);
    expect(first.map(({ completions }) => completions)).toEqual([[[97, 98, 0]], [[97, 98, 99, 100, 0]]]);
    expect(first.map(({ perToken }) => perToken['weight'])).toEqual([
      [Array.from({ length: 3 }, () => 1 / 8)],
      [Array.from({ length: 5 }, () => 1 / 8)],
    ]);
    expect(last.map(({ perToken }) => perToken['weight'])).toEqual([[[1 / 3, 1 / 3, 1 / 3]]]);
    const metrics = { loss: 0.5, grad_norm: 3, learning_rate: 0.1, 'left_out/steps': 0 };
    // A prompt is one token, an answer one a letter and its end.
    expect(reports).toEqual([
      [1, metrics, 2, { read: 2, written: 3 + 5 }],
      [2, metrics, 1, { read: 1, written: 3 }],
    ]);
    expect(policy.asked.steps.map(({ gradient }) => [...gradient])).toEqual([[2], [1]]);
  });

  it('teaches the thought and the solution of a row that has them, and asks its problem', async () => {
    const policy = stubPolicy();
    const row: Thought = { ...fitted('a'), problem: 'qq', thinking: 'x', solution: 'y' };
    const all = await lastValueFrom(
      of(row).pipe(sft({ policy: teaching(policy), readImage: blank, report: silent }), toArray()),
    );
    expect(all).toEqual([{ ...row, step: 1 }]);
    expect(policy.asked.gradients[0].rows.map(({ prompt, completions }) => [prompt.text, completions])).toEqual([
      ['qq', [[120, 32, 121, 0]]],
    ]);
  });

  it('counts the words of a prompt that is learned, in the mean over tokens', async () => {
    const policy = stubPolicy();
    const inputs: Inputs = () => ({
      perToken: {},
      perPrompt: { promptWeight: Float32Array.of(0, 1), promptTargets: Float32Array.of(0, 5) },
    });
    await lastValueFrom(
      of(fitted('a')).pipe(
        sft({ policy: teaching(policy, inputs), readImage: blank, report: silent }, { prompt: 'learned' }),
      ),
    );
    const [{ perToken, perPrompt }] = policy.asked.gradients[0].rows;
    expect([perToken['weight'], perPrompt]).toEqual([
      [[0.25, 0.25, 0.25]],
      { promptWeight: Float32Array.of(0, 0.25), promptTargets: Float32Array.of(0, 5) },
    ]);
  });

  it("hands on the graph's further inputs, and shares of a step where they are asked of whole prompts", async () => {
    const policy = stubPolicy();
    const inputs: Inputs = (_, { id }, prompt, answer) => ({
      perToken: { soft: [answer.map(() => 1)] },
      perPrompt: { patchShare: Float32Array.of(prompt.tokens.length, id.length) },
    });
    await lastValueFrom(
      from([fitted('a'), fitted('bc')]).pipe(
        sft({ policy: teaching(policy, inputs), readImage: blank, report: silent }),
      ),
    );
    expect(policy.asked.gradients[0].rows.map(({ perToken, perPrompt }) => [perToken['soft'], perPrompt])).toEqual([
      [[[1, 1, 1]], { patchShare: Float32Array.of(1, 1), patchWeight: Float32Array.of(0.5) }],
      [[[1, 1, 1]], { patchShare: Float32Array.of(2, 2), patchWeight: Float32Array.of(0.5) }],
    ]);
  });

  it('lets marked rows by, and marks those whose image cannot be read without teaching them', async () => {
    const policy = stubPolicy();
    const rows = [marked('a') as Fitted, fitted('b'), fitted('c')];
    const all = await lastValueFrom(
      from(rows).pipe(
        sft({ policy: teaching(policy), readImage: missing('b.jpg'), report: silent }, { rowsPerStep: 2 }),
        toArray(),
      ),
    );
    expect(all.map(({ id, step, skipped }) => [id, step, skipped?.reason])).toEqual([
      ['a', undefined, 'no file'],
      ['b', undefined, 'b.jpg: no such file'],
      ['c', 1, undefined],
    ]);
    expect(policy.asked.gradients.map(({ rows: batch }) => batch.map(({ prompt }) => prompt.text))).toEqual([['c']]);
    expect(policy.asked.gradients[0].rows[0].perToken['weight']).toEqual([[1 / 3, 1 / 3, 1 / 3]]);
  });

  it('takes no step where no row of it can be read', async () => {
    const policy = stubPolicy();
    const all = await lastValueFrom(
      from([fitted('a'), fitted('b')]).pipe(
        sft({ policy: teaching(policy), readImage: missing('a.jpg'), report: silent }, { rowsPerStep: 1 }),
        toArray(),
      ),
    );
    expect(all.map(({ id, step }) => [id, step])).toEqual([
      ['a', undefined],
      ['b', 1],
    ]);
    expect(policy.asked.steps).toHaveLength(1);
  });

  it("errors with the policy's own fault, and passes the source's on", async () => {
    const broken = stubPolicy({ step: () => Promise.reject(new Error('not finite')) });
    await expect(
      lastValueFrom(of(fitted('a')).pipe(sft({ policy: teaching(broken), readImage: blank, report: silent }))),
    ).rejects.toThrow('not finite');
    const confused = stubPolicy({
      encode: () => {
        throw new TypeError('no template');
      },
    });
    await expect(
      lastValueFrom(of(fitted('a')).pipe(sft({ policy: teaching(confused), readImage: blank, report: silent }))),
    ).rejects.toThrow('no template');
    const failing = concat(
      of(fitted('a')),
      throwError(() => new Error('source')),
    );
    await expect(
      lastValueFrom(failing.pipe(sft({ policy: teaching(stubPolicy()), readImage: blank, report: silent }))),
    ).rejects.toThrow('source');
  });

  it('widens the row by its step and refuses what makes no sense', () => {
    expectTypeOf(sft<Fitted>({ policy: teaching(stubPolicy()), readImage: blank, report: silent })).toEqualTypeOf<
      OperatorFunction<Fitted, Fitted & { readonly step: number }>
    >();
    for (const options of [{ rowsPerStep: 0 }, { patchMask: -1 }, { softNumbers: -1 }, { group: 8 }])
      expect(() =>
        sft({ policy: teaching(stubPolicy()), readImage: blank, report: silent }, options as object),
      ).toThrow();
  });
});
