import { describe, expect, it } from 'vitest';

import { bnpo, dapo, drGrpo, grpo, gspo, luspo, segR1 } from '../../../src/objectives/policy-gradient.js';
import { trainRows } from '../../../src/operators/training/train-rows.js';
import { advantaged } from '../stub-policy.js';

describe('trainRows', () => {
  const rows = [advantaged('a', [1, 3], [0.5, -0.5]), advantaged('b', [4], [2])];
  const prompts = rows.map(({ id }) => ({ text: id, tokens: [], images: [] }));

  it('weighs each token as the objective averages', () => {
    const [a, b] = trainRows(rows, prompts, grpo(0));
    expect(a).toEqual({
      prompt: { text: 'a', tokens: [], images: [] },
      completions: [[0], [0, 1, 2]],
      perToken: {
        oldLogProbs: [[-0], [-0, -1, -2]],
        weight: [[1 / 3], [1 / 9, 1 / 9, 1 / 9]],
        share: [[1 / 8], [1 / 8, 1 / 8, 1 / 8]],
      },
      perSample: { advantages: [0.5, -0.5], sampleShare: [1 / 3, 1 / 3] },
    });
    expect(b).toMatchObject({
      perToken: { weight: [[1 / 12, 1 / 12, 1 / 12, 1 / 12]], share: [[1 / 8, 1 / 8, 1 / 8, 1 / 8]] },
      perSample: { advantages: [2] },
    });
  });

  it.each([grpo(0), bnpo(0), dapo(0), gspo(0), segR1(0)])('spreads a weight of 1 over the step: $name', (objective) => {
    const all = trainRows(rows, prompts, objective);
    for (const name of ['weight', 'share'])
      expect(all.flatMap(({ perToken }) => perToken[name].flat()).reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(
        1,
        12,
      );
  });

  it.each([
    [drGrpo(0, 8), 1 / 24],
    [luspo(0), 1 / 3],
  ] as const)('divides every completion by the same: $0.name', (objective, weight) => {
    const all = trainRows(rows, prompts, objective).flatMap(({ perToken }) => perToken['weight'].flat());
    expect(all).toEqual(all.map(() => expect.closeTo(weight, 12)));
  });

  it('counts a completion that is left out as one without tokens', () => {
    const cut = rows.map((row) => ({
      ...row,
      completions: row.completions.map((completion, i) =>
        i === 1 ? { ...completion, finish: 'length' as const } : completion,
      ),
    }));
    const [a] = trainRows(cut, prompts, grpo(0), ({ finish }) => finish === 'stop');
    expect(a).toMatchObject({
      completions: [[0], [0, 1, 2]],
      perToken: { weight: [[1 / 3], [0, 0, 0]], share: [[1 / 5], [0, 0, 0]] },
      perSample: { sampleShare: [1 / 3, 1 / 3] },
    });
  });

  it('picks tokens by the entropies they were written with', () => {
    const written = rows.map((row) => ({
      ...row,
      completions: row.completions.map((completion) => ({
        ...completion,
        entropies: completion.tokens.map((t) => t / 10),
      })),
    }));
    const [a, b] = trainRows(written, prompts, dapo(0, { low: 0.2, high: 0.28, topEntropy: 0.3, entropyBonus: 0.1 }));
    expect([a.perToken['picked'], b.perToken['picked']]).toEqual([[[0], [0, 0, 1]], [[0, 0, 1, 1]]]);
    expect([a.perToken['bonus'], b.perToken['bonus']]).toEqual([[[0], [0, 0, 1 / 3]], [[0, 0, 1 / 3, 1 / 3]]]);
    expect(() => trainRows(rows, prompts, dapo(0, { low: 0.2, high: 0.28, topEntropy: 0.3 }))).toThrow(
      'update  topEntropy: expected completions that came with entropies; got none; way out: rollout.entropy: true',
    );
  });
});
