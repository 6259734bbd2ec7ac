import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { openSafetensors, type Tensors } from '../../src/io/safetensors.js';
import type { QwenConfig } from '../../src/models/qwen2_5_vl/config.js';
import type { VlmConfig } from '../../src/models/vlm/architecture.js';
import type { Grid } from '../../src/models/vlm/patches.js';
import type { EncodedPrompt } from '../../src/models/policy.js';
import { goldenFolder } from './golden.js';

/** Where the policy's reference results lie. */
export const folder = join(goldenFolder(), 'policy');

export const json = <T>(path: string): T => JSON.parse(readFileSync(join(folder, path), 'utf8'));
export const has = (path: string): boolean => existsSync(join(folder, path));
export const stored = (path: string): Promise<Tensors> => openSafetensors(join(folder, path));

export async function integers(tensors: Tensors, name: string): Promise<number[]> {
  return Array.from(await tensors.readI64(name), Number);
}

/** Rows of a flat [rows, width] tensor. */
export function rowsOf<T>(flat: ArrayLike<T>, width: number): T[][] {
  return Array.from({ length: flat.length / width }, (_, row) =>
    Array.from({ length: width }, (__, i) => flat[row * width + i]),
  );
}

/** Grids and pixels of images, one behind the other. */
export function imagesOf(
  thw: readonly number[],
  pixels: Float32Array,
  width: number,
): { readonly grid: Grid; readonly pixels: Float32Array }[] {
  let at = 0;
  return rowsOf(thw, 3).map(([, h, w]) => {
    const first = at;
    at += h * w * width;
    return { grid: { h, w }, pixels: pixels.slice(first, at) };
  });
}

/** One row of a batch with its own images. */
export interface GoldenRow {
  /** Left padding included. */
  readonly ids: readonly number[];
  readonly padding: number;
  readonly images: EncodedPrompt['images'];
}

/** Rows of `input_ids`, each with as many of the batch's images as it begins. */
export async function goldenRows(batch: Tensors, config: VlmConfig): Promise<GoldenRow[]> {
  const { tokens, vision } = config as QwenConfig;
  const length = batch.info('input_ids').shape[1];
  const [ids, attended] = await Promise.all([integers(batch, 'input_ids'), integers(batch, 'attention_mask')]);
  const width = 3 * vision.temporalPatch * vision.patch ** 2;
  const images = batch.has('pixel_values')
    ? imagesOf(await integers(batch, 'image_grid_thw'), await batch.read('pixel_values'), width)
    : [];
  return rowsOf(ids, length).map((row, r) => {
    const own = images.splice(0, row.filter((id) => id === tokens.visionStart).length);
    return { ids: row, padding: attended.slice(r * length, (r + 1) * length).indexOf(1), images: own };
  });
}

/** A row without its padding, as the policy is given it. */
export function promptOf({ ids, padding, images }: GoldenRow): EncodedPrompt {
  return { text: '', tokens: ids.slice(padding), images };
}

/** Largest |a - b| / max(floor, |b|) of the places that count; NaN where one of them is. */
export function farthest(
  own: ArrayLike<number>,
  expected: ArrayLike<number>,
  floor = 1,
  counts: (i: number) => boolean = () => true,
): number {
  if (own.length !== expected.length) throw new Error(`expected ${expected.length} values; got ${own.length}`);
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(own[i] - expected[i]) / Math.max(floor, Math.abs(expected[i]));
    if (!counts(i)) continue;
    if (Number.isNaN(error)) return NaN;
    most = Math.max(most, error);
  }
  return most;
}
