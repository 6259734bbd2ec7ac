import { describe, expect, it } from 'vitest';

import { bnpo, dapo, drGrpo, grpo, gspo, luspo, segR1, type Clipping } from '../../src/objectives/policy-gradient.js';
import { input } from '../../src/tensor/ops.js';
import { advantage, close, completionOf, fed, k3, overCompletion, ratio, size, terms, traced } from './traced.js';

const pickedTerm = input('picked', 'float32', size);
const apart = (i: number): number => fed.refLogProbs[i] - fed.logProbs[i];
const clipped = (i: number, low: number, high: number): number =>
  -Math.min(ratio(i) * advantage(i), Math.min(Math.max(ratio(i), 1 - low), 1 + high) * advantage(i));
/** Only where moving the ratio further is not clipped away. */
const clippedSlope = (i: number, low: number, high: number): number => {
  const held = advantage(i) > 0 ? ratio(i) > 1 + high : ratio(i) < 1 - low;
  return held ? 0 : -ratio(i) * advantage(i);
};

describe.each([
  ['grpo', grpo, { low: 0.2, high: 0.2 }, 'sequence'],
  ['dapo', dapo, { low: 0.2, high: 0.28 }, 'token'],
] as const)('%s', (name, make, range, average) => {
  it.each([
    ['its own clip', undefined, range],
    ['another', { low: 0.1, high: 0.5 }, { low: 0.1, high: 0.5 }],
  ])('clips the ratio by %s', (_, given, { low, high }) => {
    const { loss, slope } = traced(make(0, given));
    close(loss, (i) => clipped(i, low, high));
    close(slope, (i) => clippedSlope(i, low, high));
    expect([...slope].filter((s) => s === 0).length).toBeGreaterThan(2);
  });

  it('adds the divergence from the reference', () => {
    const { loss, slope } = traced(make(0.04));
    close(loss, (i) => clipped(i, range.low, range.high) + 0.04 * k3(i));
    close(slope, (i) => clippedSlope(i, range.low, range.high) + 0.04 * (1 - Math.exp(apart(i))));
  });

  it('is told apart by its numbers, and says how it is averaged', () => {
    expect(make(0)).toMatchObject({ kl: 0, average, name: `${name} 0 ${range.low} ${range.high}` });
    expect(
      new Set(
        [make(0), make(0.1), make(0, { low: 0.1, high: 0.2 }), make(0, { low: 0.2, high: 0.1 })].map(
          (objective) => objective.name,
        ),
      ).size,
    ).toBe(4);
  });
});

describe('the others that clip', () => {
  it('are averaged in their own way', () => {
    expect([grpo(0), bnpo(0), drGrpo(0, 44), dapo(0), gspo(0), luspo(0)].map(({ average }) => average)).toEqual([
      'sequence',
      'token',
      { tokens: 44 },
      'token',
      'sequence',
      { tokens: 1 },
    ]);
    expect(drGrpo(0, 44).name).not.toBe(drGrpo(0, 45).name);
  });

  it('hold the ratio below a largest one on both sides', () => {
    const { loss, slope } = traced(grpo(0, { low: 0.2, high: 0.2, max: 1.3 }));
    close(
      loss,
      (i) => -Math.min(Math.min(ratio(i), 1.3) * advantage(i), Math.min(Math.max(ratio(i), 0.8), 1.2) * advantage(i)),
    );
    close(slope, (i) => (ratio(i) > 1.3 ? 0 : clippedSlope(i, 0.2, 0.2)));
  });

  it.each([gspo, luspo])('%o take the geometric mean over a completion', (make) => {
    const mean = overCompletion((i) => fed.logProbs[i] - fed.oldLogProbs[i], 'mean');
    const { loss, reports } = traced(make(0, { low: 0.05, high: 0.1 }));
    const shared = (i: number): number => Math.exp(mean(completionOf(i)));
    close(loss, (i) => -Math.min(shared(i) * advantage(i), Math.min(Math.max(shared(i), 0.95), 1.1) * advantage(i)));
    close(reports['ratio'], (i) => Math.exp(mean(i)));
  });

  it('report what is clipped', () => {
    const { reports } = traced(dapo(0));
    close(reports['clipLow'], (i) => (ratio(i) < 0.8 && advantage(i) < 0 ? 1 : 0));
    close(reports['clipHigh'], (i) => (ratio(i) > 1.28 && advantage(i) > 0 ? 1 : 0));
    expect([...reports['clipLow'], ...reports['clipHigh']].filter((clip) => clip === 1).length).toBeGreaterThan(2);
  });
});

describe('additions', () => {
  const plain: Clipping = { low: 0.2, high: 0.2 };

  it('multiply the divergence with the ratio', () => {
    close(
      traced(grpo(0.04, { ...plain, klCorrected: true })).loss,
      (i) => clipped(i, 0.2, 0.2) + 0.04 * ratio(i) * k3(i),
    );
  });

  it('weigh what the advantage teaches by the mismatch, and not the divergence', () => {
    const weight = (i: number): number =>
      Math.min(1.2, Math.exp((fed.oldLogProbs[i] - fed.samplerLogProbs[i]) * fed.mask[i]));
    close(
      traced(grpo(0.04, { ...plain, correction: { level: 'token', beyond: 'truncate', max: 1.2 } })).loss,
      (i) => clipped(i, 0.2, 0.2) * weight(i) + 0.04 * k3(i),
    );
  });

  it('leave bad completions out that the policy has moved away from', () => {
    const LIMIT = -0.1;
    const lost = overCompletion((i) => fed.samplerLogProbs[i] - fed.logProbs[i], 'mean');
    const kept = (completion: number): number => (fed.advantages[completion] >= 0 || lost(completion) <= LIMIT ? 1 : 0);
    const { loss, reports } = traced(grpo(0, { ...plain, offPolicy: LIMIT }));
    close(reports['kept'], kept);
    close(loss, (i) => clipped(i, 0.2, 0.2) * kept(completionOf(i)));
    expect(new Set(reports['kept']).size).toBe(2);
  });

  it('teach at picked tokens only', () => {
    const given = { ...terms, picked: pickedTerm };
    close(traced(grpo(0, { ...plain, topEntropy: 0.5 }), given).loss, (i) => clipped(i, 0.2, 0.2) * fed.picked[i]);
  });

  it('are in the name', () => {
    const additions = [
      {},
      { klCorrected: true },
      { offPolicy: 0.1 },
      { level: 'sequence' },
      { entropyBonus: 0.1 },
      { correction: { level: 'token', beyond: 'mask', max: 2 } },
    ] as const;
    expect(new Set(additions.map((each) => grpo(0.1, { ...plain, ...each }).name)).size).toBe(additions.length);
  });
});

describe('segR1', () => {
  it('is the plain policy gradient: ratio 1, nothing clipped, whoever wrote the tokens', () => {
    const { loss, slope } = traced(segR1(0), { ...terms, oldLogProbs: terms.logProbs });
    close(loss, (i) => -advantage(i));
    close(slope, (i) => -advantage(i));
    expect(traced(segR1(0))).toMatchObject({ loss, slope });
  });

  it('adds the divergence from the reference', () => {
    const { loss, slope } = traced(segR1(0.04));
    close(loss, (i) => -advantage(i) + 0.04 * k3(i));
    close(slope, (i) => -advantage(i) + 0.04 * (1 - Math.exp(apart(i))));
    expect(segR1(0.04)).toMatchObject({ name: 'seg-r1 0.04', kl: 0.04, average: 'sequence' });
  });
});
