import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { openSafetensors, type Tensors } from '../../src/io/safetensors.js';
import { readSam2Config, type Sam2Config } from '../../src/models/sam2/config.js';
import { openNetwork, type Embedding, type Network } from '../../src/models/sam2/network.js';
import { clicksOf, promptTokens, type Click } from '../../src/models/sam2/prompts.js';
import { openEngine } from '../../src/tensor/engines.js';
import { openWeights, type Weights } from '../../src/models/sam2/weights.js';
import type { Box, Prompt, Size } from '../../src/records.js';

/** One image at one of the model's sizes. */
export interface GoldenImage {
  readonly name: string;
  readonly size: number;
  readonly file: string;
  readonly original_hw: readonly [number, number];
  readonly tensors: string;
}

/** One prompt and what came of it; boxes and points in pixels of the original image, objects side by side. */
export interface GoldenCase {
  readonly image: string;
  readonly size: number;
  readonly tensors: string;
  readonly prefix: string;
  readonly mask: string;
  readonly name: string;
  readonly boxes?: readonly Box[];
  readonly points?: readonly (readonly (readonly [number, number])[])[];
  readonly labels?: readonly (readonly (0 | 1)[])[];
  readonly mask_from?: string;
  readonly stability: readonly number[];
  readonly picked_token: readonly number[];
}

export interface GoldenSet {
  readonly images: readonly GoldenImage[];
  readonly cases: readonly GoldenCase[];
  readonly probes: { readonly image: string; readonly size: number; readonly file: string };
}

/** A set of reference results and how to get at it. */
export interface Golden extends GoldenSet {
  readonly folder: string;
  readonly path: (file: string) => string;
  readonly tensors: (file: string) => Promise<Tensors>;
}

export function goldenSet(folder: string): Golden {
  const path = (file: string): string => join(folder, file);
  return {
    ...(JSON.parse(readFileSync(path('cases.json'), 'utf8')) as GoldenSet),
    folder,
    path,
    tensors: (file) => openSafetensors(path(file)),
  };
}

/** A checkpoint at one size; the sizes of a set share the weights of the first. */
export interface Checkpoint {
  readonly config: Sam2Config;
  readonly weights: Weights;
  readonly network: Network;
}

export function checkpointFolders({
  folder,
}: Golden): Map<number, { readonly config: string; readonly weights: string }> {
  const folders = readdirSync(folder)
    .map((name) => join(folder, name))
    .filter((path) => existsSync(join(path, 'config.json')));
  const whole = folders.find((path) => existsSync(join(path, 'model.safetensors')));
  const sizeOf = (path: string): number =>
    (JSON.parse(readFileSync(join(path, 'config.json'), 'utf8')) as { prompt_encoder_config: { image_size: number } })
      .prompt_encoder_config.image_size;
  return new Map(
    folders.map((config) => [
      sizeOf(config),
      { config, weights: existsSync(join(config, 'model.safetensors')) ? config : (whole as string) },
    ]),
  );
}

export async function openCheckpoint({
  config: folder,
  weights: from,
}: {
  readonly config: string;
  readonly weights: string;
}): Promise<Checkpoint> {
  const config = await readSam2Config(folder);
  const weights = await openWeights(from, config);
  return { config, weights, network: await openNetwork(openEngine({ workers: 1, threads: 1 }), weights, config) };
}

/** Objects of a case, in the words of the port. */
export function promptOf({ boxes, points, labels }: GoldenCase, frame: Size): Prompt {
  const count = boxes?.length ?? points?.length ?? 0;
  const objects = Array.from({ length: count }, (_, i) => ({
    ...(boxes ? { box: boxes[i] } : {}),
    points: (points?.[i] ?? []).map(([x, y], n) => ({ x, y, label: labels?.[i]?.[n] as 0 | 1 })),
  }));
  return { frame, objects };
}

export function clicks(golden: GoldenCase, image: GoldenImage): Click[][] {
  const [height, width] = image.original_hw;
  const prompt = promptOf(golden, { width, height });
  return prompt.objects.map((object) => clicksOf(object, prompt.frame, image.size));
}

export const tokensOf = ({ weights, config }: Checkpoint, of: readonly Click[][]): Float32Array[] =>
  of.map((some) => promptTokens(weights, config, some));

/**
 * [channel, S/n, S/n] → the order of `Embedding`: pixel by pixel of S/16, finer cells inside.
 *
 * @param levels how often a pixel is halved.
 */
export function inside(values: Float32Array, channels: number, levels: 0 | 1 | 2): Float32Array {
  const side = Math.sqrt(values.length / channels);
  const out = new Float32Array(values.length);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const place = nested(x, y, side, levels);
      for (let c = 0; c < channels; c++) out[place * channels + c] = values[(c * side + y) * side + x];
    }
  }
  return out;
}

function nested(x: number, y: number, side: number, levels: number): number {
  if (levels === 0) return y * side + x;
  return 4 * nested(x >> 1, y >> 1, side / 2, levels - 1) + 2 * (y & 1) + (x & 1);
}

export async function storedEmbedding(stored: Tensors, { width }: Sam2Config): Promise<Embedding> {
  const level = async (i: 0 | 1 | 2, channels: number): Promise<Float32Array> =>
    inside(await stored.read(`image_embeddings.${i}`), channels, (2 - i) as 0 | 1 | 2);
  return { finest: await level(0, width / 8), fine: await level(1, width / 4), image: await level(2, width) };
}

/** Largest |a - b|. */
export function furthest(own: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (own.length !== expected.length) throw new Error(`expected ${expected.length} values; got ${own.length}`);
  let most = 0;
  for (let i = 0; i < expected.length; i++) {
    const apart = Math.abs(own[i] - expected[i]);
    if (Number.isNaN(apart)) return NaN;
    most = Math.max(most, apart);
  }
  return most;
}
