import { describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import { patchMaskHead } from '../../../src/models/vlm/supervised.js';
import { loss, lessons, settings } from './lessons.js';
import { open, tied, tiny } from './opened.js';

describe('reference', () => {
  it.each([
    ['float32 files', tiny],
    ['files of bfloat16', tied],
  ])('mixes a share of the weights into the reference, of %s, and goes on from there', async (_, from) => {
    const policy = await open({ extra: patchMaskHead }, from);
    const rows = lessons(policy, 1).slice(0, 1);
    const start = await policy.referenceScores({ rows, temperature: 1 });
    await policy.step((await policy.gradient({ loss, rows, temperature: 1 })).gradient, settings);
    await policy.mixReference(0.5);
    const half = await policy.referenceScores({ rows, temperature: 1 });
    const now = await policy.scores({ rows, temperature: 1 });
    const between = half[0][0].filter((p, t) => (p - start[0][0][t]) * (now[0][0][t] - p) > 0);
    expect(between.length).toBeGreaterThan(0);
    expect([half, now]).not.toContainEqual(start);
    await policy.step((await policy.gradient({ loss, rows, temperature: 1 })).gradient, settings);
    expect(await policy.referenceScores({ rows, temperature: 1 })).toEqual(half);
    await policy.mixReference(1);
    expect(await policy.referenceScores({ rows, temperature: 1 })).toEqual(
      await policy.scores({ rows, temperature: 1 }),
    );
  });

  it('has nothing to mix below an adapter', async () => {
    const policy = await open({ train: { lora: { rank: 2, alpha: 4, targets: ['q_proj'] } } });
    await expect(policy.mixReference(1)).rejects.toThrow(
      new ModelError(
        `${tiny}  reference: expected weights of its own, as where all of the policy's learn; got the checkpoint below adapter, which is only read`,
      ),
    );
  });

  it('refers to the opening weights even when it is first asked after a step', async () => {
    const [early, late] = [await open(), await open()];
    const rows = lessons(early, 1).slice(0, 1);
    const { gradient } = await late.gradient({ loss, rows, temperature: 1 });
    await late.step(gradient, settings);
    expect(await late.referenceScores({ rows, temperature: 1 })).toEqual(
      await early.referenceScores({ rows, temperature: 1 }),
    );
  });
});
