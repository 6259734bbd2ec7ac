import { describe, expect, it } from 'vitest';

import { cispo } from '../../../src/objectives/cispo.js';
import { bnpo, dapo, drGrpo, grpo, gspo, luspo, segR1 } from '../../../src/objectives/policy-gradient.js';
import { sapo } from '../../../src/objectives/sapo.js';
import { vespo } from '../../../src/objectives/vespo.js';
import { openObjective } from '../../../src/objectives/spec.js';
import { objectiveSpec, UpdateOptions } from '../../../src/operators/training/update-options.js';

describe('objectiveSpec', () => {
  it.each([
    [{}, grpo(0)],
    [{ clip: 0.1 }, grpo(0, { low: 0.1, high: 0.1 })],
    [{ clip: 0.1, clipHigh: 0.3, kl: 0.04 }, grpo(0.04, { low: 0.1, high: 0.3 })],
    [{ objective: 'dapo' }, dapo(0)],
    [{ objective: 'dapo', clip: 0.1 }, dapo(0, { low: 0.1, high: 0.28 })],
    [{ objective: 'dapo', clipHigh: 0.3 }, dapo(0, { low: 0.2, high: 0.3 })],
    [{ objective: 'seg-r1', kl: 0.04 }, segR1(0.04)],
    [{ objective: 'bnpo', clip: 0.1 }, bnpo(0, { low: 0.1, high: 0.1 })],
    [{ objective: 'dr-grpo', maxTokens: 44 }, drGrpo(0, 44)],
    [{ objective: 'gspo', kl: 0.04 }, gspo(0.04)],
    [{ objective: 'luspo', clip: 0.03 }, luspo(0, { low: 0.03, high: 0.03 })],
    [{ objective: 'luspo', ratio: 'token' }, luspo(0, { low: 3e-4, high: 4e-4, level: 'token' })],
    [{ objective: 'cispo' }, cispo(0)],
    [{ objective: 'cispo', ratioMax: 2, ratio: 'sequence' }, cispo(0, { max: 2, level: 'sequence' })],
    [{ objective: 'sapo', gate: { positive: 2 } }, sapo(0, { positive: 2, negative: 1.05 })],
    [{ objective: 'vespo', gamma: { negative: { k: 2, lambda: 2 } } }, vespo(0, { negative: { k: 2, lambda: 2 } })],
    [{ objective: 'cispo', ratioMax: 1 }, cispo(0, { max: 1 })],
    [{ ratioMax: 4 }, grpo(0, { low: 0.2, high: 0.2, max: 4 })],
    [
      { kl: 0.1, klCorrected: true, offPolicy: 0.2, entropyBonus: 0.01, topEntropy: 0.2 },
      grpo(0.1, { low: 0.2, high: 0.2, klCorrected: true, offPolicy: 0.2, entropyBonus: 0.01, topEntropy: 0.2 }),
    ],
    [{ correction: {} }, grpo(0, { low: 0.2, high: 0.2, correction: { level: 'sequence', beyond: 'mask', max: 3 } })],
  ] as const)('of %j', async (options, expected) => {
    const spec = objectiveSpec(UpdateOptions.parse(options));
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
    expect(JSON.stringify(await openObjective(spec))).toBe(JSON.stringify(expected));
  });
});

describe('UpdateOptions', () => {
  it.each([
    [
      { objective: 'cispo', clipHigh: 0.3 },
      'clipHigh',
      'expected an objective that has it, of grpo|bnpo|dr-grpo|dapo|gspo|luspo; got cispo',
    ],
    [
      { objective: 'seg-r1', clip: 0.3 },
      'clip',
      'expected an objective that has it, of grpo|bnpo|dr-grpo|dapo|gspo|luspo; got seg-r1',
    ],
    [
      { objective: 'gspo', ratio: 'token' },
      'ratio',
      'expected an objective that has it, of grpo|bnpo|dr-grpo|dapo|cispo|sapo|luspo; got gspo',
    ],
    [{ gate: {} }, 'gate', 'expected an objective that has it, of sapo; got grpo'],
    [{ gamma: {} }, 'gamma', 'expected an objective that has it, of vespo; got grpo'],
    [{ maxTokens: 44 }, 'maxTokens', 'expected an objective that has it, of dr-grpo; got grpo'],
    [
      { objective: 'dr-grpo' },
      'maxTokens',
      'expected the tokens that dr-grpo divides every completion by, such as maxTokens of rollout; got none',
    ],
    [{ klCorrected: true }, 'klCorrected', 'expected kl above 0 beside it; got 0'],
    [
      { objective: 'seg-r1', kl: 1, klCorrected: true },
      'klCorrected',
      'expected an objective with a ratio; got seg-r1, whose ratio is 1',
    ],
    [{ reference: {} }, 'reference', 'expected kl above 0 beside it; got 0'],
    [
      { objective: 'seg-r1', updatesPerBatch: 2 },
      'updatesPerBatch',
      'expected 1 with seg-r1, which has no ratio to hold later steps by; got 2',
    ],
    [{ ratioMax: 1.2 }, 'ratioMax', 'expected more than 1 + clipHigh, which is 1.2; got 1.2'],
    [
      { objective: 'dapo', clip: 0.1, ratioMax: 0.9 },
      'ratioMax',
      'expected more than 1 + clipHigh, which is 1.28; got 0.9',
    ],
    [{ objective: 'gspo', ratioMax: 1 }, 'ratioMax', 'expected more than 1 + clipHigh, which is 1.0004; got 1'],
    [
      { objective: 'luspo', clip: 0.5, ratioMax: 1.5 },
      'ratioMax',
      'expected more than 1 + clipHigh, which is 1.5; got 1.5',
    ],
    [{ objective: 'cispo', ratioMax: 0.9 }, 'ratioMax', 'expected at least 1, the ratio on-policy; got 0.9'],
    [{ correction: { max: 1, min: 2 } }, 'correction', 'expected min below max; got 2 and 1'],
  ])('refuses %j', (options, path, message) => {
    expect(
      UpdateOptions.safeParse(options).error?.issues.map((issue) => [issue.path.join('.'), issue.message]),
    ).toEqual([[path, message]]);
  });

  it.each([1, 1.5])('refuses a clip of %d, below which no ratio falls', (clip) => {
    expect(UpdateOptions.safeParse({ clip, clipHigh: 3 }).error?.issues).toMatchObject([
      { path: ['clip'], code: 'too_big', maximum: 1 },
    ]);
  });
});
