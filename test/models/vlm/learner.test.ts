import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { folderTensors } from '../../../src/io/safetensors.js';
import type { Loss, TrainRow } from '../../../src/models/policy.js';
import { patchMaskHead } from '../../../src/models/vlm/supervised.js';
import { asking, loss, lessons, prompts, settings, writing } from './lessons.js';
import { folder, open, tiny } from './opened.js';

describe('step', () => {
  it('moves the weights and leaves the reference where it was', async () => {
    const policy = await open();
    const rows = lessons(policy, 2).slice(0, 2);
    const before = await policy.referenceScores({ rows, temperature: 1 });
    expect(await policy.scores({ rows, temperature: 1 })).toEqual(before);
    const first = await policy.gradient({ loss, rows, temperature: 1 });
    expect([policy.version, await policy.step(first.gradient, settings), policy.version]).toEqual([
      0,
      expect.any(Number),
      1,
    ]);
    await policy.step((await policy.gradient({ loss, rows, temperature: 1 })).gradient, settings);
    expect(await policy.referenceScores({ rows, temperature: 1 })).toEqual(before);
    expect(await policy.scores({ rows, temperature: 1 })).not.toEqual(before);
    const after = await policy.gradient({ loss, rows, temperature: 1 });
    expect(after.metrics['loss']).toBeLessThan(first.metrics['loss']);
  });

  it('refuses a gradient that is not finite, and stays as it was', async () => {
    const policy = await open();
    const gradient = new Float32Array(policy.parameters);
    gradient[5] = NaN;
    const [before] = await policy.generate(asking(prompts(policy).slice(0, 1), writing));
    await expect(policy.step(gradient, settings)).rejects.toThrow(
      `${tiny}  step 1: expected a finite gradient; got a norm of NaN`,
    );
    expect(policy.version).toBe(0);
    expect((await policy.generate(asking(prompts(policy).slice(0, 1), writing)))[0]).toEqual(before);
  });

  // 1e39 is above the largest float32, 3.4e38; the square of 1e20 above it as well.
  it.each([
    ['weights', { ...settings, learningRate: 1e39 }, 1],
    ['second moments', { learningRate: 1e-3, maxNorm: 1e30 }, 1e25],
  ])('never passes %s that overflowed for a result', async (what, how, factor) => {
    const policy = await open();
    const gradient = Float32Array.from({ length: policy.parameters }, () => factor);
    await expect(policy.step(gradient, how)).rejects.toThrow(
      new RegExp(`step 1: expected finite ${what}; got -?Infinity in .*; way out: a smaller learningRate`),
    );
    expect(policy.version).toBe(0);
    const dir = join(await folder(), 'saved');
    const saved = policy.save(dir).then(() => policy.saveTraining(dir));
    await expect(saved).rejects.toThrow(/expected finite numbers; got -?Infinity at/);
  });

  it('teaches a supervised answer, with a head that is no part of the checkpoint', async () => {
    const policy = await open({ extra: patchMaskHead });
    const [prompt] = prompts(policy);
    const answer = policy.encodeAnswer('<bbox>[1,2,30,40]</bbox>');
    const row: TrainRow = {
      prompt,
      completions: [answer],
      perToken: { weight: [answer.map(() => 1 / answer.length)], soft: [answer.map((_, t) => Number(t < 9))] },
      perPrompt: { patchShare: Float32Array.from({ length: 16 }, (_, i) => i / 16), patchWeight: Float32Array.of(1) },
    };
    const lesson: Loss = { supervised: { patchMask: 0.5, softNumbers: 2 } };
    const first = await policy.gradient({ loss: lesson, rows: [row], temperature: 1 });
    expect(first.metrics['patches']).toBeCloseTo(Math.LN2, 1);
    for (let i = 0; i < 5; i++)
      await policy.step((await policy.gradient({ loss: lesson, rows: [row], temperature: 1 })).gradient, {
        ...settings,
        learningRate: 3e-3,
      });
    const last = await policy.gradient({ loss: lesson, rows: [row], temperature: 1 });
    for (const name of ['loss', 'nll', 'patches']) expect(last.metrics[name], name).toBeLessThan(first.metrics[name]);
    const dir = join(await folder(), 'saved');
    await policy.save(dir);
    expect((await folderTensors(dir)).names.filter((name) => name.startsWith('patch'))).toEqual([]);
  });
});
