import { concat, from, lastValueFrom, of, throwError, toArray, type OperatorFunction } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';

import { grpo, segR1, dapo } from '../../src/objectives/policy-gradient.js';
import { decays } from '../../src/operators/learning.js';
import { objectiveOf, trainRows, update, UpdateOptions } from '../../src/operators/update.js';
import type { Advantaged, Updated } from '../../src/records.js';
import { advantaged, blank, marked, missing, stubPolicy } from './stub-policy.js';

const silent = (): void => {};
const nameOf = ({ name }: { name: string }): string => name;

describe('update', () => {
  it('takes a step for every few groups, the last with what is left, and says which', async () => {
    const policy = stubPolicy();
    const reports: [number, Readonly<Record<string, number>>][] = [];
    const rows = ['a', 'b', 'c', 'd', 'e'].map((id) => advantaged(id, [2, 1], [0.5, -0.5]));
    const learn = update(policy, nameOf, blank, 0.9, (step, metrics) => reports.push([step, metrics]), { groupsPerStep: 2, learningRate: 0.5, warmup: 2, weightDecay: 0.1, maxNorm: 2 });
    const all = await lastValueFrom(from(rows).pipe(learn, toArray()));
    expect(all).toEqual(rows.map((row, i) => ({ ...row, step: 1 + Math.floor(i / 2) })));
    expect(policy.asked.gradients.map(({ graph, rows: batch, temperature }) => [graph, batch.map(({ prompt }) => prompt.text), temperature])).toEqual([
      ['grpo 0 0.2 0.2', ['a', 'b'], 0.9],
      ['grpo 0 0.2 0.2', ['c', 'd'], 0.9],
      ['grpo 0 0.2 0.2', ['e'], 0.9],
    ]);
    expect(policy.asked.steps.map(({ gradient, options }) => [...gradient, options.learningRate])).toEqual([[2, 0.25], [2, 0.5], [1, 0.5]]);
    expect(policy.asked.steps[0].options).toEqual({ learningRate: 0.25, weightDecay: 0.1, beta1: 0.9, beta2: 0.999, maxNorm: 2, decays });
    expect(reports.map(([step]) => step)).toEqual([1, 2, 3]);
    expect(reports[0][1]).toMatchObject({ 'policy/loss': 0.5, 'policy/gradientNorm': 3, 'policy/learningRate': 0.25, 'reward/mean': 0, 'answer/tokens': 1.5 });
    expect(policy.asked.references).toEqual([]);
  });

  it('asks the reference for log-probs where there is a KL term, at the same temperature', async () => {
    const policy = stubPolicy();
    await lastValueFrom(of(advantaged('a', [2, 3])).pipe(update(policy, nameOf, blank, 0.7, silent, { objective: 'seg-r1', kl: 0.04, groupsPerStep: 1 })));
    expect(policy.asked.references.map(({ rows, temperature }) => [rows.length, temperature])).toEqual([[1, 0.7]]);
    expect(policy.asked.gradients[0]).toMatchObject({ graph: 'seg-r1 0.04', rows: [{ perToken: { refLogProbs: [[-2, -2], [-2, -2, -2]] } }] });
  });

  it('lets marked rows by and counts them in no step', async () => {
    const policy = stubPolicy();
    const rows = [advantaged('a', [1]), marked('b') as Advantaged, advantaged('c', [1])];
    const all = await lastValueFrom(from(rows).pipe(update(policy, nameOf, blank, 1, silent, { groupsPerStep: 2 }), toArray()));
    expect(all.map(({ id, step }) => [id, step])).toEqual([['b', undefined], ['a', 1], ['c', 1]]);
    expect(policy.asked.gradients.map(({ rows: batch }) => batch.length)).toEqual([2]);
  });

  it('errors with what the policy, an image or the source fails with, and takes no step then', async () => {
    const run = (policy: ReturnType<typeof stubPolicy>, read = blank): Promise<unknown> => lastValueFrom(of(advantaged('a', [1])).pipe(update(policy, nameOf, read, 1, silent)));
    const broken = stubPolicy({ gradient: () => Promise.reject(new Error('out of memory')) });
    await expect(run(broken)).rejects.toThrow('out of memory');
    const blind = stubPolicy();
    await expect(run(blind, missing('a.jpg'))).rejects.toThrow('a.jpg: no such file');
    expect([...broken.asked.steps, ...blind.asked.steps]).toEqual([]);
    const failing = concat(of(advantaged('a', [1])), throwError(() => new Error('source')));
    await expect(lastValueFrom(failing.pipe(update(stubPolicy(), nameOf, blank, 1, silent)))).rejects.toThrow('source');
  });

  it('learns nothing from the likeliest completion', () => {
    expect(() => update(stubPolicy(), nameOf, blank, 0, silent)).toThrow('update  temperature: expected completions drawn at one above 0; got 0');
  });

  it('widens the row by its step and refuses what makes no sense', () => {
    expectTypeOf(update<string, Advantaged>(stubPolicy(), nameOf, blank, 1, silent)).toEqualTypeOf<OperatorFunction<Advantaged, Advantaged & Updated>>();
    for (const options of [{ groupsPerStep: 0 }, { kl: -1 }, { clip: 0 }, { learningRate: 0 }, { objective: 'ppo' as never }, { lr: 1 }]) {
      expect(() => update(stubPolicy(), nameOf, blank, 1, silent, options)).toThrow();
    }
  });
});

describe('objectiveOf', () => {
  it.each([
    [{}, grpo(0)],
    [{ clip: 0.1 }, grpo(0, { low: 0.1, high: 0.1 })],
    [{ clip: 0.1, clipHigh: 0.3, kl: 0.04 }, grpo(0.04, { low: 0.1, high: 0.3 })],
    [{ objective: 'dapo' }, dapo(0)],
    [{ objective: 'dapo', clip: 0.1 }, dapo(0, { low: 0.1, high: 0.28 })],
    [{ objective: 'dapo', clipHigh: 0.3 }, dapo(0, { low: 0.2, high: 0.3 })],
    [{ objective: 'seg-r1', kl: 0.04 }, segR1(0.04)],
  ] as const)('of %j', (options, { name, kl, average }) => expect(objectiveOf(UpdateOptions.parse(options))).toMatchObject({ name, kl, average }));
});

describe('trainRows', () => {
  const rows = [advantaged('a', [1, 3], [0.5, -0.5]), advantaged('b', [4], [2])];
  const prompts = rows.map(({ id }) => ({ text: id, tokens: [] }));

  it('weighs each token as the objective averages', () => {
    const [a, b] = trainRows(rows, prompts, grpo(0));
    expect(a).toEqual({
      prompt: { text: 'a', tokens: [] },
      completions: [[0], [0, 1, 2]],
      perToken: { oldLogProbs: [[-0], [-0, -1, -2]], weight: [[1 / 3], [1 / 9, 1 / 9, 1 / 9]], share: [[1 / 8], [1 / 8, 1 / 8, 1 / 8]] },
      perSample: { advantages: [0.5, -0.5] },
    });
    expect(b).toMatchObject({ perToken: { weight: [[1 / 12, 1 / 12, 1 / 12, 1 / 12]], share: [[1 / 8, 1 / 8, 1 / 8, 1 / 8]] }, perSample: { advantages: [2] } });
  });

  it.each([grpo(0), dapo(0), segR1(0)])('spreads a weight of 1 over the step: $name', (objective) => {
    const all = trainRows(rows, prompts, objective);
    for (const name of ['weight', 'share']) expect(all.flatMap(({ perToken }) => perToken[name].flat()).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 12);
  });
});
