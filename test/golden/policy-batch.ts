import { expect } from 'vitest';

import type { TrainRow } from '../../src/models/policy.js';
import type { VlmConfig } from '../../src/models/vlm/architecture.js';
import { tokenWeights, type Objective } from '../../src/objectives/objective.js';
import { gradientNorm } from '../../src/tensor/adamw.js';
import { layoutOf } from '../../src/tensor/layout.js';
import { imagesOf, integers, json, rowsOf, stored } from './policy-cases.js';

/** Sum and norm. */
export type Summary = Readonly<Record<string, readonly [number, number]>>;

/** Rounding, and the loss's own noise: torch's two attention kernels give gradients 5e-7 apart, on values up to 1. */
export const GRADIENT = { relative: 1e-4, floor: 2e-2 };
/** Adam turns the rounding of a tiny gradient into a step of up to ±lr. */
export const TINY = 1e-5;

const { group, weight_decay: decay = 0.01 } = json<{ group: number; weight_decay?: number }>('train/train.json');
/** Weight decays of which the set has steps. */
export const WEIGHT_DECAYS = [0, decay] as const;
/** The micro-batch of GRPO that all training goldens are of. */
export const batch = await stored('train/batch.safetensors');

/** Whether values have the golden sum and norm. */
export function agrees(values: Float32Array, sum: number, norm: number, name: string, slack: number): void {
  expect(Math.abs(values.reduce((total, value) => total + value, 0) - sum), `sum of ${name}`).toBeLessThan(
    slack * Math.sqrt(values.length) + 1e-5,
  );
  expect(Math.abs(gradientNorm(values) - norm), `norm of ${name}`).toBeLessThan(slack + 1e-7);
}

/** Pieces of a flat array by weight. */
export function named(config: VlmConfig, flat: Float32Array): Record<string, Float32Array> {
  const shapes = config.architecture.weightShapes(config);
  const { entries } = layoutOf(shapes.map(({ name, sizes }) => ({ name, sizes: Object.values(sizes) })));
  return Object.fromEntries(entries.map(({ name, offset, length }) => [name, flat.subarray(offset, offset + length)]));
}

/** The prompts' images. */
export async function batchImages(): Promise<ReturnType<typeof imagesOf>> {
  return imagesOf(
    await integers(batch, 'image_grid_thw_of_prompts'),
    await batch.read('pixel_values_of_prompts'),
    batch.info('pixel_values_of_prompts').shape[1],
  );
}

/** The batch with each prompt once, its completions behind it, each token weighed as the objective has it. */
export async function trainRows(objective: Objective): Promise<TrainRow[]> {
  const length = batch.info('mask').shape[1];
  const width = batch.info('input_ids').shape[1];
  const lengths = rowsOf(await integers(batch, 'mask'), length).map((row) => row.reduce((sum, one) => sum + one, 0));
  const cut = <T>(flat: ArrayLike<T>): T[][] => rowsOf(flat, length).map((row, i) => row.slice(0, lengths[i]));
  const each = (weights: readonly number[]): number[][] =>
    lengths.map((n, i) => Array.from({ length: n }, () => weights[i]));
  const padding = rowsOf(await integers(batch, 'attention_mask'), width).map((row) => row.indexOf(1));
  const prompts = rowsOf(await integers(batch, 'input_ids'), width).map((row, i) =>
    row.slice(padding[i], width - length),
  );
  const perToken = {
    oldLogProbs: cut(await batch.read('old_logp')),
    refLogProbs: cut(await batch.read('ref_logp')),
    weight: each(tokenWeights(lengths, objective.average)),
    share: each(tokenWeights(lengths, 'token')),
  };
  const completions = cut(await integers(batch, 'completion_ids'));
  const advantages = await batch.read('advantages');
  const images = await batchImages();
  const keys = prompts.map((ids, i) => JSON.stringify([Math.floor(i / group), ids]));
  const groups = [...new Set(keys)].map((key) => [...keys.keys()].filter((i) => keys[i] === key));
  return groups.map((indices): TrainRow => ({
    prompt: { text: '', tokens: prompts[indices[0]], images: [images[Math.floor(indices[0] / group)]] },
    completions: indices.map((i) => completions[i]),
    perToken: Object.fromEntries(Object.entries(perToken).map(([name, all]) => [name, indices.map((i) => all[i])])),
    perSample: { advantages: indices.map((i) => advantages[i]) },
  }));
}

/** Which row of the batch each completion is. */
export async function completionsInOrder(rows: readonly TrainRow[]): Promise<number[]> {
  const all = rowsOf(await integers(batch, 'completion_ids'), batch.info('mask').shape[1]).map((row) => row.join());
  return rows.flatMap(({ completions }) =>
    completions.map((own) => all.findIndex((row) => `${row},`.startsWith(`${own.join()},`))),
  );
}
