import { describe, expect, it } from 'vitest';

import { combined } from '../../src/models/policy.js';
import { tokenWeights, type Objective } from '../../src/objectives/objective.js';
import { dapo, grpo, gspo, luspo } from '../../src/objectives/policy-gradient.js';
import { policyLoss } from '../../src/objectives/policy-loss.js';
import { gradient } from '../../src/tensor/gradient.js';
import { input } from '../../src/tensor/ops.js';
import { interpret } from '../tensor/interpret.js';
import { fed, size, tokens } from './traced.js';

const lengths = [4, 4, 2, 1, 3, 0];
const spread = (weights: readonly number[]): number[] => fed.mask.map((one, i) => one * weights[Math.floor(i / 4)]);
const entropies = Array.from({ length: tokens }, (_, i) => 1 + i / 10);

/** Scalars of some of the step's prompts, the step being both. */
function scalars(
  objective: Objective,
  prompts: readonly number[],
  given: readonly number[] = fed.logProbs,
): Record<string, number> {
  const sized = { ...size, prompt: prompts.length };
  const seen = { logProbs: input('given', 'float32', sized), entropy: input('entropies', 'float32', sized) };
  const { logProbs: _, ...outputs } = policyLoss(objective, seen, sized);
  const all: Record<string, readonly number[]> = {
    ...fed,
    given,
    entropies,
    weight: spread(tokenWeights(lengths, objective.average)),
    share: spread(tokenWeights(lengths, 'token')),
    bonus: spread(tokenWeights(lengths, 'token')),
    sampleShare: lengths.map(() => 1 / lengths.length),
  };
  const part = Object.fromEntries(
    Object.entries(all).map(([name, values]) => [
      name,
      prompts.flatMap((p) => values.slice((p * values.length) / 2, ((p + 1) * values.length) / 2)),
    ]),
  );
  const names = Object.keys(outputs);
  const slope = gradient(outputs.loss, [seen.logProbs])[0];
  const found = interpret([...names.map((name) => outputs[name]), slope], part);
  return Object.fromEntries([
    ...names.map((name, i) => [name, found[i].data[0]] as const),
    ['slope', found[names.length].data.reduce((sum, x) => sum + x, 0)],
  ]);
}

const correction = { level: 'sequence', beyond: 'truncate', max: 1.5 } as const;
const objectives = [
  grpo(0.04),
  dapo(0, { low: 0.1, high: 0.2, entropyBonus: 0.01, correction }),
  gspo(0.04, { low: 0.05, high: 0.05, offPolicy: 0.01 }),
  luspo(0),
];

describe('policyLoss', () => {
  it.each(objectives)('of micro-batches adds up to the step’s: $name', (objective) => {
    const whole = scalars(objective, [0, 1]);
    const [first, second] = [scalars(objective, [0]), scalars(objective, [1])];
    expect(Object.keys(whole)).toEqual(
      expect.arrayContaining([
        'loss',
        'entropy',
        'drift',
        'ratio',
        'clipLow',
        'clipLowMin',
        'clipHigh',
        'clipHighMax',
        'clip',
        'apart',
        'apartMax',
      ]),
    );
    for (const [name, value] of Object.entries(whole))
      expect(combined(name, first[name], second[name]), name).toBeCloseTo(value, 6);
  });

  it('tells the mean and the largest distance from the sampler, at tokens that count', () => {
    const [own, corrected] = [scalars(grpo(0), [0, 1]), scalars(dapo(0, { low: 0.2, high: 0.28, correction }), [0, 1])];
    const far = (a: readonly number[], b: readonly number[]): number[] =>
      a.flatMap((p, i) => (fed.mask[i] === 1 ? [Math.abs(p - b[i])] : []));
    for (const [found, apart] of [
      [own, far(fed.logProbs, fed.oldLogProbs)],
      [corrected, far(fed.oldLogProbs, fed.samplerLogProbs)],
    ] as const) {
      expect(found['apart']).toBeCloseTo(apart.reduce((sum, x) => sum + x, 0) / 14, 6);
      expect(found['apartMax']).toBeCloseTo(Math.max(...apart), 6);
    }
  });

  it('takes the mean entropy off, as much of it as is asked', () => {
    const [plain, rewarded] = [
      scalars(dapo(0), [0, 1]),
      scalars(dapo(0, { low: 0.2, high: 0.28, entropyBonus: 0.5 }), [0, 1]),
    ];
    expect(plain['entropy']).toBeCloseTo(entropies.reduce((sum, entropy, i) => sum + entropy * fed.mask[i], 0) / 14, 6);
    expect(rewarded['loss']).toBeCloseTo(plain['loss'] - 0.5 * plain['entropy'], 6);
  });

  it('never looks at padding, however unlikely', () => {
    const unlikely = fed.logProbs.map((p, i) => (fed.mask[i] === 1 ? p : -1e30));
    for (const objective of objectives) {
      const found = scalars(objective, [0, 1], unlikely);
      expect(Object.values(found).every(Number.isFinite)).toBe(true);
      expect(found['loss']).toBeCloseTo(scalars(objective, [0, 1])['loss'], 5);
    }
  });
});
