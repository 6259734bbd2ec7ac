import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openSafetensors, writeSafetensors } from '../../../src/io/safetensors.js';
import type { QwenPolicy } from '../../../src/models/qwen/policy.js';
import { restoreTraining, saveTraining } from '../../../src/models/qwen/training-state.js';
import { patchMaskHead } from '../../../src/models/qwen/supervised.js';
import { adamState } from '../../../src/tensor/adamw.js';
import { layoutOf } from '../../../src/tensor/session.js';
import { uniform } from '../../../src/random.js';
import { folder, open } from './opened.js';

const drawn = (length: number, key: string): Float32Array => Float32Array.from({ length }, (_, i) => uniform(key, i) - 0.5);

describe('training state', () => {
  const layout = layoutOf([{ name: 'model.a', sizes: [2, 3] }, { name: 'model.b', sizes: [4] }, { name: 'head', sizes: [3] }]);
  const values = drawn(layout.length, 'values');
  const adam = { first: drawn(layout.length, 'first'), second: drawn(layout.length, 'second'), step: 7 };

  it('keeps what the saved weights round or lack, and comes back bit by bit', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), [
      { name: 'model.language_model.a', dtype: 'F32', shape: [2, 3], data: values.slice(0, 6) },
      { name: 'model.b', dtype: 'BF16', shape: [4], data: values.slice(6, 10) },
    ]);
    await saveTraining(dir, { layout, values }, 9, adam);
    const { names } = await openSafetensors(join(dir, 'optimizer.safetensors'));
    expect(names.filter((name) => name.startsWith('weights.'))).toEqual(['weights.model.b', 'weights.head']);
    const back = new Float32Array(layout.length);
    expect(await restoreTraining(dir, { layout, values: back })).toEqual({ version: 9, adam });
    expect(back).toEqual(values);
  });

  it('keeps a reference that is no longer the checkpoint’s', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), []);
    const reference = drawn(layout.length, 'reference');
    await saveTraining(dir, { layout, values }, 9, adam, reference);
    expect(await restoreTraining(dir, { layout, values: new Float32Array(layout.length) })).toEqual({ version: 9, adam, reference });
  });

  it('begins with no moments where no step was taken', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), []);
    await saveTraining(dir, { layout, values }, 0);
    expect(await restoreTraining(dir, { layout, values: new Float32Array(layout.length) })).toEqual({ version: 0, adam: adamState(layout) });
  });

  it('refuses the state of other weights', async () => {
    const dir = await folder();
    await writeSafetensors(join(dir, 'model.safetensors'), []);
    await saveTraining(dir, { layout: layoutOf([{ name: 'model.a', sizes: [5] }]), values }, 1);
    await expect(restoreTraining(dir, { layout, values: new Float32Array(layout.length) })).rejects.toThrow('weights.model.a: expected 6 values; got 5');
  });
});

describe.each([
  ['all weights and a head of its own', { extra: patchMaskHead }, 'model.safetensors'],
  ['an adapter', { train: { lora: { rank: 2, alpha: 8, targets: ['q_proj'] } } }, 'adapter_model.safetensors'],
])('a policy that learns %s', (_, options, file) => {
  const step = (policy: QwenPolicy, key: number): Promise<number> =>
    policy.step(Float32Array.from({ length: policy.parameters }, (__, i) => ((i * 31 + key * 17) % 101) / 101 - 0.5), { learningRate: 0.01, maxNorm: 1 });

  it('goes on from a checkpoint as if it had never stopped', async () => {
    const [whole, broken, at] = [await open(options), await open(options), await folder()];
    for (const policy of [whole, broken]) for (const key of [1, 2]) await step(policy, key);
    await broken.save(join(at, 'step-2'));
    await broken.saveTraining(join(at, 'step-2'));
    const resumed = await open(options);
    await resumed.restore(join(at, 'step-2'));
    expect(resumed.version).toBe(2);
    for (const policy of [whole, resumed]) {
      await step(policy, 3);
      const to = join(at, policy === whole ? 'whole' : 'resumed');
      await policy.save(to);
      await policy.saveTraining(to);
    }
    for (const name of [file, 'optimizer.safetensors']) expect(readFileSync(join(at, 'resumed', name)).equals(readFileSync(join(at, 'whole', name)))).toBe(true);
  });

  it('takes no step while it is held', async () => {
    const policy = await open(options);
    let release = (): void => {};
    policy.hold(new Promise<void>((resolve) => (release = resolve)));
    const stepped = step(policy, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(policy.version).toBe(0);
    release();
    await stepped;
    expect(policy.version).toBe(1);
  });
});
