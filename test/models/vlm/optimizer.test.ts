import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { apartBy, loss, lessons, settings } from './lessons.js';
import { folder, open } from './opened.js';
import { onCpu, without } from '../../tensor/onnx/native/libraries.js';
import { folderTensors, openSafetensors } from '../../../src/io/safetensors.js';
import type { OpenPolicyOptions } from '../../../src/models/policies.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { openEngine } from '../../../src/tensor/engines.js';

const device = { kind: 'cpu', libraries: onCpu } as const;

/** Weights and moments as they are saved. */
async function saved(policy: VlmPolicy): Promise<Record<string, Float32Array>> {
  const dir = join(await folder(), 'saved');
  await policy.save(dir);
  await policy.saveTraining(dir);
  const adapter = join(dir, 'adapter_model.safetensors');
  const [weights, state] = [
    existsSync(adapter) ? await openSafetensors(adapter) : await folderTensors(dir),
    await openSafetensors(join(dir, 'optimizer.safetensors')),
  ];
  const all = [
    ...weights.names.map(async (name) => [name, await weights.read(name)] as const),
    ...state.names.map(async (name) => [name, await state.read(name)] as const),
  ];
  return Object.fromEntries(await Promise.all(all));
}

async function stepped(options: Partial<OpenPolicyOptions>, steps: number): Promise<VlmPolicy> {
  const policy = await open({ batch: 2, ...options });
  const rows = lessons(policy, 2).slice(0, 3);
  for (let i = 0; i < steps; i++)
    await policy.step((await policy.gradient({ loss, rows, temperature: 1 })).gradient, {
      ...settings,
      maxNorm: 0.5,
      ema: 0.5,
    });
  return policy;
}

const both = [
  ['there', 'device'],
  ['on the host', 'host'],
] as const;

describe.skipIf(without !== '').each(both)(`a policy on a device with its optimizer %s${without}`, (_, optimizer) => {
  it('comes to the same weights, moments, averages and losses as one without a device', async () => {
    const [host, held] = [await stepped({}, 3), await stepped({ device, optimizer }, 3)];
    const [expected, got] = [await saved(host), await saved(held)];
    expect(Object.keys(got)).toEqual(Object.keys(expected));
    // Adam divides small gradients by their own size, and so their rounding is as large as a step is: 1e-3 three times.
    for (const [name, values] of Object.entries(expected))
      expect([name, apartBy(got[name], values) < 2e-3]).toEqual([name, true]);
    const rows = lessons(host, 2).slice(0, 3);
    const [a, b] = [
      await host.gradient({ loss, rows, temperature: 1 }),
      await held.gradient({ loss, rows, temperature: 1 }),
    ];
    expect([b.gradient.length, b.metrics['loss']]).toEqual([0, expect.closeTo(a.metrics['loss'], 4)]);
  });

  it('goes on from what it saved as if it had not been broken off, and takes a gradient that it is handed', async () => {
    const whole = await stepped({ device, optimizer, train: { lora: { rank: 2, alpha: 4, targets: ['q_proj'] } } }, 2);
    const dir = join(await folder(), 'state');
    await whole.save(dir);
    await whole.saveTraining(dir);
    const again = await open({ batch: 2, device, optimizer, adapter: dir });
    await again.restore(dir);
    expect(again.version).toBe(2);
    const gradient = Float32Array.from({ length: whole.parameters }, (_, i) => ((i % 7) - 3) / 10);
    for (const policy of [whole, again])
      expect(await policy.step(gradient, settings)).toBeCloseTo(Math.hypot(...gradient), 3);
    expect(await saved(again)).toEqual(await saved(whole));
  });

  it('moves a reference towards its weights', async () => {
    const policy = await stepped({ device, optimizer }, 1);
    const rows = lessons(policy, 2).slice(0, 1);
    await policy.mixReference(1);
    expect(await policy.referenceScores({ rows, temperature: 1 })).toEqual(
      await policy.scores({ rows, temperature: 1 }),
    );
  });
});

describe.skipIf(without !== '')(`an optimizer on the host${without}`, () => {
  it('takes a step as the device does from its own sum, within the rounding of float32', async () => {
    const [there, here] = [await stepped({ device }, 1), await stepped({ device, optimizer: 'host' }, 1)];
    const [expected, got] = [await saved(there), await saved(here)];
    // One step moves by the learning rate, 1e-3; moments and the norm that clips are of the same bits.
    for (const [name, values] of Object.entries(expected))
      expect([name, apartBy(got[name], values) < 2e-7]).toEqual([name, true]);
  });

  it('leaves the device without moments', async () => {
    const inUse = async (optimizer: 'device' | 'host'): Promise<number> => {
      const policy = await stepped({ device, optimizer }, 1);
      const watch = openEngine({ workers: 1, threads: 1, device });
      const memory = await watch.memory();
      await watch.release();
      await policy.release();
      return memory?.inUse ?? NaN;
    };
    const { parameters } = await open();
    const saves = (await inUse('device')) - (await inUse('host'));
    // Each is rounded up to blocks.
    expect(saves / (8 * parameters)).toBeCloseTo(1, 1);
  });

  it('goes on in all weights from what it saved as if it had not been broken off, and with float32 that bfloat16 files round', async () => {
    const options = { device, optimizer: 'host', save: 'bfloat16' } as const;
    const rows = (policy: VlmPolicy) => lessons(policy, 2).slice(0, 3);
    const step = async (policy: VlmPolicy): Promise<unknown> =>
      policy.step((await policy.gradient({ loss, rows: rows(policy), temperature: 1 })).gradient, {
        ...settings,
        maxNorm: 0.5,
        ema: 0.5,
      });
    const whole = await stepped(options, 2);
    const dir = join(await folder(), 'state');
    await whole.save(dir);
    await whole.saveTraining(dir);
    const again = await open({ batch: 2, ...options }, dir);
    await again.restore(dir);
    for (const policy of [whole, again]) await step(policy);
    expect(await saved(again)).toEqual(await saved(whole));
  });
});
