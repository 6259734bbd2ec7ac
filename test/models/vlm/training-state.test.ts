import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openSafetensors, writeSafetensors } from '../../../src/io/safetensors.js';
import { readPolicyConfig } from '../../../src/models/policies.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { restoreTraining, saveTraining } from '../../../src/models/vlm/training-state.js';
import { patchMaskHead } from '../../../src/models/vlm/supervised.js';
import { adamState } from '../../../src/tensor/adamw.js';
import { layoutOf } from '../../../src/tensor/layout.js';
import { uniform } from '../../../src/random.js';
import { gate } from '../../waiting.js';
import { folder, open, tied, tiny } from './opened.js';

const drawn = (length: number, key: string): Float32Array =>
  Float32Array.from({ length }, (_, i) => uniform(key, i) - 0.5);

const config = await readPolicyConfig(tiny);

describe('training state', () => {
  const layout = layoutOf([
    { name: 'model.a', sizes: [2, 3] },
    { name: 'model.b', sizes: [4] },
    { name: 'head', sizes: [3] },
  ]);
  const values = drawn(layout.length, 'values');
  const adam = { first: drawn(layout.length, 'first'), second: drawn(layout.length, 'second'), step: 7 };

  it('keeps what the saved weights round or lack, and comes back bit by bit', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), [
      { name: 'model.language_model.a', dtype: 'F32', shape: [2, 3], data: values.slice(0, 6) },
      { name: 'model.b', dtype: 'BF16', shape: [4], data: values.slice(6, 10) },
    ]);
    await saveTraining(dir, config, { layout, values }, { version: 9, adam });
    const { names } = await openSafetensors(join(dir, 'optimizer.safetensors'));
    expect(names.filter((name) => name.startsWith('weights.'))).toEqual(['weights.model.b', 'weights.head']);
    const back = new Float32Array(layout.length);
    expect(await restoreTraining(dir, config, { layout, values: back })).toEqual({ version: 9, adam });
    expect(back).toEqual(values);
  });

  it('keeps a reference that is no longer the checkpoint’s', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), []);
    const reference = drawn(layout.length, 'reference');
    await saveTraining(dir, config, { layout, values }, { version: 9, adam, reference });
    expect(await restoreTraining(dir, config, { layout, values: new Float32Array(layout.length) })).toEqual({
      version: 9,
      adam,
      reference,
    });
  });

  it('keeps of an average what its folder rounds or lacks', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), []);
    const average = drawn(layout.length, 'average');
    await mkdir(join(dir, 'ema'));
    await writeSafetensors(join(dir, 'ema/model.safetensors'), [
      { name: 'model.a', dtype: 'F32', shape: [2, 3], data: average.slice(0, 6) },
      { name: 'model.b', dtype: 'BF16', shape: [4], data: average.slice(6, 10) },
    ]);
    await saveTraining(dir, config, { layout, values }, { version: 9, adam, average });
    const { names } = await openSafetensors(join(dir, 'optimizer.safetensors'));
    expect(names.filter((name) => name.startsWith('ema.'))).toEqual(['ema.model.b', 'ema.head']);
    expect(await restoreTraining(dir, config, { layout, values: new Float32Array(layout.length) })).toEqual({
      version: 9,
      adam,
      average,
    });
  });

  it('begins with no moments where no step was taken', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), []);
    await saveTraining(dir, config, { layout, values }, { version: 0 });
    expect(await restoreTraining(dir, config, { layout, values: new Float32Array(layout.length) })).toEqual({
      version: 0,
      adam: adamState(layout),
    });
  });

  it('refuses the state of other weights', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), []);
    await saveTraining(dir, config, { layout: layoutOf([{ name: 'model.a', sizes: [5] }]), values }, { version: 1 });
    await expect(restoreTraining(dir, config, { layout, values: new Float32Array(layout.length) })).rejects.toThrow(
      'weights.model.a: expected 6 values; got 5',
    );
  });
});

describe.each([
  ['all weights and a head of its own', { extra: patchMaskHead }, tiny, 'model.safetensors'],
  ['all weights, of bfloat16', {}, tied, 'model.safetensors'],
  ['an adapter', { train: { lora: { rank: 2, alpha: 8, targets: ['q_proj'] } } }, tiny, 'adapter_model.safetensors'],
])('a policy that learns %s', (_, options, base, file) => {
  const begun = (): Promise<VlmPolicy> => open(options, base);
  const step = (policy: VlmPolicy, key: number, ema?: number): Promise<number> => {
    const gradient = Float32Array.from(
      { length: policy.parameters },
      (__, i) => ((i * 31 + key * 17) % 101) / 101 - 0.5,
    );
    return policy.step(gradient, { learningRate: 0.01, maxNorm: 1, ...(ema !== undefined && { ema }) });
  };
  const saved = async (policy: VlmPolicy, to: string): Promise<string> => {
    await policy.save(to);
    await policy.saveTraining(to);
    return to;
  };

  /** Values by name, bit by bit: as saved, or beside where that rounds them or lacks them. */
  const exact = async (dir: string, kind: 'weights' | 'ema'): Promise<Record<string, Float32Array>> => {
    const [kept, written] = [
      await openSafetensors(join(dir, 'optimizer.safetensors')),
      await openSafetensors(join(dir, kind === 'ema' ? kind : '', file)),
    ];
    const names = kept.names.filter((name) => name.startsWith('first.')).map((name) => name.slice('first.'.length));
    return Object.fromEntries(
      await Promise.all(
        names.map(async (name) => [
          name,
          await (kept.has(`${kind}.${name}`) ? kept.read(`${kind}.${name}`) : written.read(name)),
        ]),
      ),
    );
  };

  it.each([undefined, 0.9])('goes on from a checkpoint as if it had never stopped, averaging by %s', async (ema) => {
    const [whole, broken, at] = [await begun(), await begun(), await folder()];
    for (const policy of [whole, broken]) for (const key of [1, 2]) await step(policy, key, ema);
    const resumed = await begun();
    await resumed.restore(await saved(broken, join(at, 'step-2')));
    expect(resumed.version).toBe(2);
    for (const policy of [whole, resumed]) {
      await step(policy, 3, ema);
      await saved(policy, join(at, policy === whole ? 'whole' : 'resumed'));
    }
    expect(existsSync(join(at, 'whole/ema'))).toBe(ema !== undefined);
    for (const name of [file, 'optimizer.safetensors', ...(ema === undefined ? [] : [join('ema', file)])])
      expect(readFileSync(join(at, 'resumed', name)).equals(readFileSync(join(at, 'whole', name)))).toBe(true);
  });

  it('averages its weights as the sum over all steps says', async () => {
    const [policy, at, ema] = [await begun(), await folder(), 0.75];
    const all: Readonly<Record<string, Float32Array>>[] = [];
    for (const key of [0, 1, 2, 3]) {
      if (key > 0) await step(policy, key, ema);
      all.push(await exact(await saved(policy, join(at, `step-${key}`)), 'weights'));
    }
    const average = await exact(join(at, 'step-3'), 'ema');
    for (const name of Object.keys(all[0])) {
      const weights = all.map((tensors) => tensors[name]);
      // ema³ w₀ + (1 - ema) (ema² w₁ + ema w₂ + w₃); three roundings to float32, and as many of the sum.
      const shares = [ema ** 3, (1 - ema) * ema ** 2, (1 - ema) * ema, 1 - ema];
      const sum = weights[0].map((__, i) => shares.reduce((total, share, k) => total + share * weights[k][i], 0));
      const off = average[name].map(
        (value, i) => Math.abs(value - sum[i]) / Math.max(...weights.map((w) => Math.abs(w[i])), 1e-9),
      );
      expect(
        off.reduce((most, each) => Math.max(most, each), 0),
        name,
      ).toBeLessThan(6 * 2 ** -24);
    }
  });

  it('leaves its average as a checkpoint of the same kind', async () => {
    const [policy, at] = [await begun(), await folder()];
    await step(policy, 1, 0.5);
    const to = await saved(policy, join(at, 'step-1'));
    const names = (dir: string): string[] =>
      readdirSync(dir)
        .filter((name) => name !== 'ema' && name !== 'optimizer.safetensors')
        .toSorted();
    expect(names(join(to, 'ema'))).toEqual(names(to));
    const adapts = 'train' in options;
    const again = await open(adapts ? { adapter: join(to, 'ema') } : {}, adapts ? base : join(to, 'ema'));
    await again.save(join(at, 'again'));
    expect(readFileSync(join(at, 'again', file)).equals(readFileSync(join(to, 'ema', file)))).toBe(true);
    expect(readFileSync(join(to, file)).equals(readFileSync(join(to, 'ema', file)))).toBe(false);
  });

  it('takes no step while it is held', async () => {
    const policy = await begun();
    const hold = gate();
    policy.pause(hold.passed);
    const stepped = step(policy, 1);
    // A policy that is not held takes its step before this one, asked later, has taken its own.
    await step(await begun(), 1);
    expect(policy.version).toBe(0);
    hold.open();
    await stepped;
    expect(policy.version).toBe(1);
  });
});
