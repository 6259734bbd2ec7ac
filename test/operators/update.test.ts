import { concat, from, lastValueFrom, of, throwError, toArray, type OperatorFunction } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { decays } from '../../src/operators/training/schedule.js';
import { isFiltered } from '../../src/operators/training/dynamic-sampling.js';
import type { StepTokens } from '../../src/operators/training/step-metrics.js';
import { update } from '../../src/operators/update.js';
import { compose, type Recipe } from '../../src/objectives/compose.js';
import type { Objective } from '../../src/objectives/objective.js';
import { mul } from '../../src/tensor/ops.js';
import type { Advantaged, Updated } from '../../src/records.js';
import { advantaged, blank, marked, missing, stubPolicy, type StubPolicy } from './stub-policy.js';

const silent = (): void => {};
/** As the policy is asked for it: options that nobody set are as they are by default. */
const grpo = {
  objective: { name: 'grpo', options: { kl: 0, klCorrected: false, entropyBonus: 0, topEntropy: 1 } },
};

describe('update', () => {
  it('takes a step for every few groups, the last with what is left, and says which', async () => {
    const policy = stubPolicy();
    const reports: [number, Readonly<Record<string, number>>][] = [];
    const rows = ['a', 'b', 'c', 'd', 'e'].map((id) => advantaged(id, [2, 1], [0.5, -0.5]));
    const learn = update(
      {
        policy,
        readImage: blank,
        temperature: 0.9,
        report: (step, metrics) => reports.push([step, metrics]),
      },
      {
        groupsPerStep: 2,
        learningRate: 0.5,
        warmup: 2,
        weightDecay: 0.1,
        maxNorm: 2,
      },
    );
    const all = await lastValueFrom(from(rows).pipe(learn, toArray()));
    expect(all).toEqual(rows.map((row, i) => ({ ...row, step: 1 + Math.floor(i / 2) })));
    expect(
      policy.asked.gradients.map(({ loss, rows: batch, temperature }) => [
        loss,
        batch.map(({ prompt }) => prompt.text),
        temperature,
      ]),
    ).toEqual([
      [grpo, ['a', 'b'], 0.9],
      [grpo, ['c', 'd'], 0.9],
      [grpo, ['e'], 0.9],
    ]);
    expect(policy.asked.steps.map(({ gradient, options }) => [...gradient, options.learningRate])).toEqual([
      [2, 0.25],
      [2, 0.5],
      [1, 0.5],
    ]);
    expect(policy.asked.steps[0].options).toEqual({
      learningRate: 0.25,
      weightDecay: 0.1,
      beta1: 0.9,
      beta2: 0.999,
      maxNorm: 2,
      decays,
    });
    expect(reports.map(([step]) => step)).toEqual([1, 2, 3]);
    expect(reports[0][1]).toMatchObject({
      loss: 0.5,
      grad_norm: 3,
      learning_rate: 0.25,
      reward: 0,
      'completions/mean_length': 1.5,
    });
    expect(policy.asked.references).toEqual([]);
  });

  it('learns at the temperature that rows were drawn at, which is one for all of a step', async () => {
    const drawn = (id: string, temperature: number): Advantaged => ({
      ...advantaged(id, [2]),
      sampling: { temperature, repetitionPenalty: 1, topK: 0, topP: 1, minP: 0, maxTokens: 9 },
    });
    const learn = (policy: StubPolicy, rows: readonly Advantaged[]) =>
      lastValueFrom(
        from(rows).pipe(
          update({ policy, readImage: blank, temperature: 1, report: silent }, { kl: 0.1, groupsPerStep: 2 }),
          toArray(),
        ),
      );
    const policy = stubPolicy();
    await learn(policy, [drawn('a', 0.7), drawn('b', 0.7), drawn('c', 0.3)]);
    expect(policy.asked.gradients.map(({ temperature }) => temperature)).toEqual([0.7, 0.3]);
    expect(policy.asked.references.map(({ temperature }) => temperature)).toEqual([0.7, 0.3]);
    await expect(learn(stubPolicy(), [drawn('a', 0.7), advantaged('b', [2])])).rejects.toThrow(
      'update  temperature: expected the completions of a step to be drawn at one; got 0.7, 1',
    );
    await expect(learn(stubPolicy(), [drawn('a', 0)])).rejects.toThrow(
      'expected completions drawn at one above 0; got 0',
    );
  });

  it('asks the reference for log-probs where there is a KL term, at the same temperature', async () => {
    const policy = stubPolicy();
    await lastValueFrom(
      of(advantaged('a', [2, 3])).pipe(
        update(
          { policy, readImage: blank, temperature: 0.7, report: silent },
          { objective: 'seg-r1', kl: 0.04, groupsPerStep: 1 },
        ),
      ),
    );
    expect(policy.asked.references.map(({ rows, temperature }) => [rows.length, temperature])).toEqual([[1, 0.7]]);
    expect(policy.asked.gradients[0]).toMatchObject({
      loss: { objective: { name: 'seg-r1', options: { kl: 0.04 } } },
      rows: [
        {
          perToken: {
            refLogProbs: [
              [-2, -2],
              [-2, -2, -2],
            ],
          },
        },
      ],
    });
  });

  it('takes the sampler’s log-probs for the sampler’s where it corrects them, and the trainer’s own for the old', async () => {
    const policy = stubPolicy();
    await lastValueFrom(
      of(advantaged('a', [2])).pipe(
        update({ policy, readImage: blank, temperature: 1, report: silent }, { correction: {}, groupsPerStep: 1 }),
      ),
    );
    expect(policy.asked.gradients[0].rows[0].perToken).toMatchObject({
      oldLogProbs: [[-3, -3]],
      samplerLogProbs: [[-0, -1]],
    });
  });

  it('says how old the answers are, and leaves out those that are older than they may be', async () => {
    const policy = stubPolicy();
    policy.version = 6;
    const reports: Readonly<Record<string, number>>[] = [];
    const rows = [6, 5, 3, 4].map((policyVersion, i) => ({ ...advantaged(`${i}`, [1, 1], [1, -1]), policyVersion }));
    const all = await lastValueFrom(
      from(rows).pipe(
        update(
          { policy, readImage: blank, temperature: 1, report: (_, metrics) => reports.push(metrics) },
          { groupsPerStep: 4, maxStaleness: 2 },
        ),
        toArray(),
      ),
    );
    expect(all.map(({ skipped, step }) => skipped ?? step)).toEqual([
      7,
      7,
      { stage: 'update', reason: 'stale: written too many steps ago' },
      7,
    ]);
    expect(reports[0]).toMatchObject({ 'staleness/mean': 1, 'staleness/max': 2, 'left_out/groups': 1 });
    expect(policy.asked.gradients.map(({ rows: batch }) => batch.length)).toEqual([3]);
  });

  it('takes no step where every group is too old', async () => {
    const policy = stubPolicy();
    policy.version = 1;
    const all = await lastValueFrom(
      of(advantaged('a', [1]), advantaged('b', [1])).pipe(
        update({ policy, readImage: blank, temperature: 1, report: silent }, { groupsPerStep: 2, maxStaleness: 0 }),
        toArray(),
      ),
    );
    expect([
      all.length,
      all.every(({ skipped }) => skipped && isFiltered(skipped.reason)),
      policy.version,
      policy.asked.gradients,
    ]).toEqual([2, true, 1, []]);
  });

  it('takes others in place of groups without spread, up to a limit, and then does with what it has', async () => {
    const policy = stubPolicy();
    const reports: [step: number, leftOut: number | undefined, rows: string[]][] = [];
    const rows = ['f', 'a', 'f', 'b', 'f', 'f', 'f', 'c', 'f', 'f', 'f', 'f', 'd'].map((kind, i) =>
      advantaged(`${kind}${i}`, [1, 1], kind === 'f' ? [0, 0] : [1, -1]),
    );
    const learn = update(
      {
        policy,
        readImage: blank,
        temperature: 1,
        report: (step, metrics, of) => reports.push([step, metrics['left_out/groups'], of.map(({ id }) => id)]),
      },
      { groupsPerStep: 2, dynamicSampling: 1 },
    );
    const all = await lastValueFrom(from(rows).pipe(learn, toArray()));
    expect(policy.asked.gradients.map(({ rows: batch }) => batch.map(({ prompt }) => prompt.text))).toEqual([
      ['a1', 'b3'],
      ['c7'],
      ['d12'],
    ]);
    expect(Object.fromEntries(all.flatMap(({ id, skipped, step }) => (skipped ? [] : [[id, step]])))).toEqual({
      a1: 1,
      b3: 1,
      c7: 2,
      d12: 3,
    });
    expect(all.flatMap(({ skipped }) => skipped ?? [])).toEqual(
      Array(9).fill({ stage: 'update', reason: 'no spread: all its answers earned the same' }),
    );
    // A step's rows leave together, those that it did without among them: a checkpoint waits for all.
    expect(reports.map(([step, , ids]) => [step, ids])).toEqual([
      [1, ['a1', 'b3']],
      [2, ['f6', 'c7']],
      [3, ['d12']],
    ]);
    expect(reports.reduce((sum, [, leftOut = 0]) => sum + leftOut, 0)).toBe(9);
  });

  it('mixes the policy into the reference every so many steps', async () => {
    const policy = stubPolicy();
    const rows = Array.from({ length: 5 }, (_, i) => advantaged(`${i}`, [1]));
    await lastValueFrom(
      from(rows).pipe(
        update(
          { policy, readImage: blank, temperature: 1, report: silent },
          { groupsPerStep: 1, kl: 0.1, reference: { every: 2 } },
        ),
        toArray(),
      ),
    );
    expect(policy.asked.mixes).toEqual([0.6, 0.6]);
  });

  it('takes several steps on the same groups, their old log-probs kept, and says the last', async () => {
    const policy = stubPolicy();
    const reports: number[] = [];
    const rows = ['a', 'b', 'c'].map((id) => advantaged(id, [2]));
    const all = await lastValueFrom(
      from(rows).pipe(
        update(
          { policy, readImage: blank, temperature: 1, report: (step) => reports.push(step) },
          { groupsPerStep: 2, updatesPerBatch: 3 },
        ),
        toArray(),
      ),
    );
    expect(all.map(({ step }) => step)).toEqual([3, 3, 6]);
    expect(reports).toEqual([1, 2, 3, 4, 5, 6]);
    const [first, , third] = policy.asked.gradients;
    expect(first.rows).toEqual(third.rows);
  });

  it('leaves out completions that were cut off, where it is told to', async () => {
    const policy = stubPolicy();
    const row = advantaged('a', [1, 3]);
    const cut = {
      ...row,
      completions: row.completions.map((completion, i) =>
        i === 1 ? { ...completion, finish: 'length' as const } : completion,
      ),
    };
    await lastValueFrom(
      of(cut, cut).pipe(
        update({ policy, readImage: blank, temperature: 1, report: silent }, { truncated: 'leave', groupsPerStep: 1 }),
        toArray(),
      ),
    );
    await lastValueFrom(
      of(cut).pipe(update({ policy, readImage: blank, temperature: 1, report: silent }, { groupsPerStep: 1 })),
    );
    expect(policy.asked.gradients.map(({ rows: [{ perToken }] }) => perToken['share'])).toEqual([
      [[1], [0, 0, 0]],
      [[1], [0, 0, 0]],
      [[1 / 4], [1 / 4, 1 / 4, 1 / 4]],
    ]);
  });

  it('tells once of the tokens of every group that came, those that it does without among them', async () => {
    const policy = stubPolicy();
    const reports: unknown[] = [];
    // Prompts of 3 tokens, two completions each; flat groups are replaced, up to two a step.
    const rows = [
      [1, 1],
      [0, 0],
      [-1, 1],
      [-1, 1],
    ].map((advantages, i) => ({ ...advantaged(`${i}`, [2, 5], advantages), promptTokens: [7, 8, 9] }));
    const learn = update(
      {
        policy,
        readImage: blank,
        temperature: 1,
        report: (step, _, __, tokens) => reports.push([step, tokens]),
      },
      {
        groupsPerStep: 2,
        dynamicSampling: 1,
        updatesPerBatch: 2,
      },
    );
    await lastValueFrom(from(rows).pipe(learn, toArray()));
    const told = reports as [number, StepTokens][];
    expect(told.map(([step]) => step)).toEqual([1, 2, 3, 4]);
    expect(told.reduce((sum, [, { read, written }]) => sum + 1000 * read + written, 0)).toBe(
      4 * (1000 * 2 * 3 + 2 + 5),
    );
    expect(told[1]?.[1]).toEqual({ read: 0, written: 0 });
  });

  it('lets marked rows by and counts them in no step', async () => {
    const policy = stubPolicy();
    const rows = [advantaged('a', [1]), marked('b') as Advantaged, advantaged('c', [1])];
    const all = await lastValueFrom(
      from(rows).pipe(
        update({ policy, readImage: blank, temperature: 1, report: silent }, { groupsPerStep: 2 }),
        toArray(),
      ),
    );
    expect(all.map(({ id, step }) => [id, step])).toEqual([
      ['b', undefined],
      ['a', 1],
      ['c', 1],
    ]);
    expect(policy.asked.gradients.map(({ rows: batch }) => batch.length)).toEqual([2]);
  });

  it('errors with what the policy, an image or the source fails with, and takes no step then', async () => {
    const run = (policy: ReturnType<typeof stubPolicy>, read = blank): Promise<unknown> =>
      lastValueFrom(of(advantaged('a', [1])).pipe(update({ policy, readImage: read, temperature: 1, report: silent })));
    const broken = stubPolicy({ gradient: () => Promise.reject(new Error('out of memory')) });
    await expect(run(broken)).rejects.toThrow('out of memory');
    const blind = stubPolicy();
    await expect(run(blind, missing('a.jpg'))).rejects.toThrow('a.jpg: no such file');
    expect([...broken.asked.steps, ...blind.asked.steps]).toEqual([]);
    const failing = concat(
      of(advantaged('a', [1])),
      throwError(() => new Error('source')),
    );
    await expect(
      lastValueFrom(failing.pipe(update({ policy: stubPolicy(), readImage: blank, temperature: 1, report: silent }))),
    ).rejects.toThrow('source');
  });

  it('learns nothing from the likeliest completion', () => {
    expect(() => update({ policy: stubPolicy(), readImage: blank, temperature: 0, report: silent })).toThrow(
      'update  temperature: expected completions drawn at one above 0; got 0',
    );
  });

  it('learns by an objective of one’s own, and refuses one without a loss by its name', async () => {
    const policy = stubPolicy();
    const surrogate: Recipe['surrogate'] = (ratio, { advantages }) => ({ loss: mul(ratio, advantages), reports: {} });
    const objective = compose({ name: 'mine', average: 'token', surrogate });
    const context = { policy, readImage: blank, temperature: 1, report: silent };
    await lastValueFrom(of(advantaged('a', [1])).pipe(update(context, { objective, groupsPerStep: 1 })));
    expect(policy.asked.gradients.map(({ loss }) => loss)).toEqual([{ objective }]);
    const broken = { ...objective, trace: () => ({ reports: {} }) } as unknown as Objective;
    expect(() => update(context, { objective: broken })).toThrow(
      'objective "mine"  trace: expected { loss, reports } with a loss a token; got a loss of nothing',
    );
  });

  it('widens the row by its step and refuses what makes no sense', () => {
    expectTypeOf(
      update<Advantaged>({ policy: stubPolicy(), readImage: blank, temperature: 1, report: silent }),
    ).toEqualTypeOf<OperatorFunction<Advantaged, Advantaged & Updated>>();
    for (const options of [
      { groupsPerStep: 0 },
      { kl: -1 },
      { clip: 0 },
      { learningRate: 0 },
      { objective: 'ppo' as never },
      { lr: 1 },
    ]) {
      expect(() =>
        update({ policy: stubPolicy(), readImage: blank, temperature: 1, report: silent }, options),
      ).toThrow();
    }
  });
});
