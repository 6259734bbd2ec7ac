import { setImmediate } from 'node:timers/promises';

import { describe, expect, it } from 'vitest';

import type { Gradient, TrainRow } from '../../../src/models/policy.js';
import type { QwenConfig } from '../../../src/models/qwen2_5_vl/config.js';
import { chunks } from '../../../src/models/vlm/batch.js';
import { asking, apart, apartBy, loss, lessons, prompts, settings, writing } from './lessons.js';
import { open, unversioned } from './opened.js';

function same(a: Gradient, b: Gradient): void {
  expect(apartBy(a.gradient, b.gradient)).toBeLessThan(1e-5);
  for (const [name, value] of Object.entries(b.metrics)) expect(a.metrics[name], name).toBeCloseTo(value, 5);
}

describe('gradient', () => {
  it('of completions behind a shared prefix is the sum of them apart', async () => {
    const policy = await open();
    const rows = lessons(policy, 3);
    const together = await policy.gradient({ loss, rows, temperature: 0.9 });
    same(together, await policy.gradient({ loss, rows: apart(rows), temperature: 0.9 }));
    expect(Object.keys(together.metrics).toSorted()).toEqual([
      'apart',
      'apartMax',
      'clip',
      'clipHigh',
      'clipHighMax',
      'clipLow',
      'clipLowMin',
      'drift',
      'entropy',
      'kl',
      'loss',
      'ratio',
    ]);
    expect(together.gradient).toHaveLength(policy.parameters);
  });

  it('is the same whatever the batch, the order of rows and the number of completions beside', async () => {
    const [one, several] = [await open(), await open({ batch: 3 })];
    const rows = lessons(one, 2);
    const alone = await one.gradient({ loss, rows, temperature: 1 });
    same(await several.gradient({ loss, rows, temperature: 1 }), alone);
    same(await several.gradient({ loss, rows: rows.toReversed(), temperature: 1 }), alone);
    same(
      await several.gradient({
        loss,
        rows: [rows[0], ...apart(rows.slice(1, 2)), ...rows.slice(2)],
        temperature: 1,
      }),
      alone,
    );
  });

  it('has the same bits from one thread and from two', async () => {
    const [one, two] = [await open(), await open({ workers: 2 })];
    const rows = lessons(one, 2);
    const [a, b] = [
      await one.gradient({ loss, rows, temperature: 1 }),
      await two.gradient({ loss, rows, temperature: 1 }),
    ];
    expect(Buffer.compare(Buffer.from(a.gradient.buffer), Buffer.from(b.gradient.buffer))).toBe(0);
    expect(a.metrics).toEqual(b.metrics);
  });

  it('is the sum of its runs in their order, bit by bit, whichever is done first', async () => {
    const policy = await open({ workers: 2 });
    const rows = lessons(policy, 2);
    const indices = chunks(
      rows.map(({ prompt }) => prompt),
      1,
    ).flat();
    const parts: Gradient[] = [];
    for (const i of indices) parts.push(await policy.gradient({ loss, rows: [rows[i]], temperature: 1 }));
    const sum = parts[0].gradient.slice();
    for (const part of parts.slice(1)) part.gradient.forEach((g, i) => (sum[i] += g));
    const { gradient, metrics } = await policy.gradient({ loss, rows, temperature: 1 });
    expect(Buffer.compare(Buffer.from(gradient.buffer), Buffer.from(sum.buffer))).toBe(0);
    expect(metrics['loss']).toBe(parts.reduce((total, part) => total + part.metrics['loss'], 0));
  });

  it('is finite where padding is all but impossible', async () => {
    const policy = await open({ suppressed: [656] });
    const { gradient, metrics } = await policy.gradient({ loss, rows: lessons(policy, 2), temperature: 1 });
    expect(Math.hypot(...gradient.subarray(0, 1000))).toBeGreaterThan(0);
    expect(gradient.every(Number.isFinite)).toBe(true);
    expect(Object.values(metrics).every(Number.isFinite)).toBe(true);
  });

  it('of no rows is nothing', async () => {
    const policy = await open();
    const { gradient, metrics } = await policy.gradient({ loss, rows: [], temperature: 1 });
    expect([gradient.every((g) => g === 0), metrics]).toEqual([true, {}]);
  });
});

describe('write', () => {
  it('gives the same completions for any batch and any number of threads', async () => {
    const policies = [await open(), await open({ batch: 2 }), await open({ batch: 4, workers: 2 })];
    const [alone, ...others] = await Promise.all(
      policies.map((policy) => policy.generate(asking(prompts(policy), writing))),
    );
    for (const other of others) {
      expect(other.map((group) => group.map(({ tokens, finish }) => ({ tokens, finish })))).toEqual(
        alone.map((group) => group.map(({ tokens, finish }) => ({ tokens, finish }))),
      );
      for (const [p, group] of other.entries())
        for (const [s, { logProbs }] of group.entries())
          expect(apartBy(logProbs, alone[p][s].logProbs)).toBeLessThan(1e-5);
    }
    expect(new Set(alone.flatMap((group) => group.map(({ tokens }) => tokens.join()))).size).toBe(15);
  });

  it('ends a completion at its first end, cuts it at the limit, and tells which', async () => {
    const policy = await open({ batch: 2 });
    const { eos } = policy.config.tokens;
    const groups = await policy.generate(
      asking(prompts(policy), { ...writing, group: 8, maxTokens: 60, temperature: 1.5 }),
    );
    for (const { tokens, logProbs, finish } of groups.flat()) {
      expect(logProbs).toHaveLength(tokens.length);
      expect(tokens.slice(0, -1).some((token) => eos.includes(token))).toBe(false);
      expect(finish).toBe(eos.includes(tokens.at(-1) as number) ? 'stop' : 'length');
      if (finish === 'length') expect(tokens).toHaveLength(60);
    }
    expect(new Set(groups.flat().map(({ finish }) => finish))).toEqual(new Set(['stop', 'length']));
  });

  it('writes the likeliest tokens at temperature 0, whatever the draws', async () => {
    const policy = await open();
    const [asked] = prompts(policy);
    const [first] = await policy.generate(asking([asked], { ...writing, temperature: 0 }));
    const [second] = await policy.generate(asking([asked], { ...writing, temperature: 0 }, 'other draws'));
    expect(second).toEqual(first);
    expect(first[1]).toEqual(first[0]);
  });

  it('never writes what means vision, and nothing of what it is told not to write', async () => {
    const policy = await open();
    const { image, video, visionStart, visionEnd } = (policy.config as QwenConfig).tokens;
    const all = { ...writing, group: 16, temperature: 3, maxTokens: 40 };
    const usual = (await policy.generate(asking(prompts(policy).slice(0, 1), all)))
      .flat()
      .flatMap(({ tokens }) => tokens);
    expect(usual.filter((token) => [image, video, visionStart, visionEnd].includes(token))).toEqual([]);
    const none = await open({ suppressed: Array.from({ length: 704 }, (_, id) => id).filter((id) => id !== 7) });
    expect(
      (await none.generate(asking(prompts(none).slice(0, 1), all)))
        .flat()
        .flatMap(({ tokens }) => tokens)
        .every((token) => token === 7),
    ).toBe(true);
  });

  it('tells which version of the weights wrote, also of what waited while a step was taken', async () => {
    const policy = await open();
    const asked = prompts(policy).slice(0, 1);
    const before = unversioned(await policy.generate(asking(asked, writing)));
    const { gradient } = await policy.gradient({ loss, rows: lessons(policy, 2).slice(0, 1), temperature: 1 });
    const running = Array.from({ length: 4 }, () => policy.generate(asking(asked, writing)));
    await setImmediate();
    await policy.step(gradient, { ...settings, learningRate: 0.1 });
    const after = unversioned(await policy.generate(asking(asked, writing)));
    expect(after).not.toEqual(before);
    const versions = (await Promise.all(running)).map((groups) => {
      const [{ version }] = groups[0];
      expect(unversioned(groups)).toEqual(version === 0 ? before : after);
      return version;
    });
    expect(versions.at(-1)).toBe(1);
  });

  it('tells the log-probs that scoring the same completions gives', async () => {
    const policy = await open({ batch: 2 });
    const asked = prompts(policy);
    const groups = await policy.generate(asking(asked, { ...writing, temperature: 0.8 }));
    const rows = asked.map((prompt, p): TrainRow => ({
      prompt,
      completions: groups[p].map(({ tokens }) => tokens),
      perToken: {},
    }));
    const scores = await policy.referenceScores({ rows, temperature: 0.8 });
    for (const [p, group] of groups.entries())
      for (const [s, { logProbs }] of group.entries()) expect(apartBy(scores[p][s], logProbs)).toBeLessThan(1e-5);
  });
});
