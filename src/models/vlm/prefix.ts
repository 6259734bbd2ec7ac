import { count, type Tensor } from '../../tensor/graph.js';
import { concat, drop, input, order, rename, reshape, slice } from '../../tensor/ops.js';
import type { Memory } from './attention.js';
import type { Computing, VlmConfig } from './architecture.js';
import type { Grid } from './patches.js';
import { decoder, embed } from './decoder.js';
import { paddingMask, prefixAttention } from './visibility.js';
import type { Weights } from './weights.js';

/** The shape of a batch of prompts: one graph serves all batches with the same shape. */
export interface PrefixShape {
  readonly prompts: number;
  /** Tokens of the longest prompt, padding included. */
  readonly tokens: number;
  /** Of each prompt's images in their order, in patches; none for text alone. */
  readonly grids: readonly Grid[];
}

/** Prompts after the model has read them. */
export interface Prefix {
  /** [prompt, width]: at the last token, before the last norm. */
  readonly last: Tensor;
  /** [prompt, token, width] */
  readonly hidden: Tensor;
  /** By layer: keys and values that completions see, the padding masked. */
  readonly memory: readonly Memory[];
  /** [prompt, visual, width]: features of each prompt's images. */
  readonly features?: Tensor;
}

/**
 * Reads a batch of left-padded prompts, each with images of the same sizes.
 *
 * Inputs of the graph: `tokens` and `visual` int64 [prompt, token], `padding` int64 [prompt], `cos` and `sin` [prompt,
 * token, half], `pixels` [prompt, patch, pixel] if there are grids: the patches of a prompt's images concatenated.
 */
export function readPrefix(weights: Weights, config: VlmConfig, shape: PrefixShape, how: Computing = {}): Prefix {
  const { prompts, tokens, grids } = shape;
  const place = { prompt: prompts, token: tokens };
  const half = config.text.headDim / 2;
  const rotary = { cos: input('cos', 'float32', { ...place, half }), sin: input('sin', 'float32', { ...place, half }) };
  const features = grids.length > 0 ? imageFeatures(weights, config, shape, how) : undefined;
  const x = embed(
    weights,
    config,
    input('tokens', 'int64', place),
    features && flat(features),
    features && input('visual', 'int64', place),
  );
  const padding = input('padding', 'int64', { prompt: prompts });
  const mask = paddingMask(padding, tokens);
  const memory: Memory[] = [];
  const keep = (layer: number, { keys, values }: Memory): void => {
    const side = (t: Tensor): Tensor => order(t, 'prompt', 'kv', 'key', 'hd');
    memory[layer] = { keys: side(keys), values: side(values), mask };
  };
  const hidden = decoder(weights, config, x, rotary, prefixAttention(padding, tokens), { ...how, keep });
  return { last: drop(slice(hidden, 'token', -1, 1), 'token'), hidden, memory, ...(features ? { features } : {}) };
}

/** Features of every prompt's images, concatenated; images of one size go through the tower together. */
function imageFeatures(weights: Weights, config: VlmConfig, { prompts, grids }: PrefixShape, how: Computing): Tensor {
  const { patch, temporalPatch } = config.vision;
  const sizes = grids.map(({ h, w }) => h * w);
  const pixels = input('pixels', 'float32', {
    image: prompts,
    patch: sizes.reduce((sum, size) => sum + size, 0),
    pixel: 3 * temporalPatch * patch * patch,
  });
  const own = sizes.map((size, i) =>
    slice(
      pixels,
      'patch',
      sizes.slice(0, i).reduce((sum, other) => sum + other, 0),
      size,
    ),
  );
  const features = new Map<number, Tensor>();
  for (const [first, grid] of grids.entries()) {
    if (features.has(first)) continue;
    const alike = [...grids.keys()].filter((i) => grids[i]?.h === grid.h && grids[i]?.w === grid.w);
    const seen = config.architecture.vision(
      weights,
      config,
      concat(
        alike.map((i) => own[i]),
        'image',
      ),
      grid,
      how,
    );
    for (const [at, i] of alike.entries()) features.set(i, slice(seen, 'image', at * prompts, prompts));
  }
  return rename(
    concat(
      [...grids.keys()].map((i) => features.get(i) as Tensor),
      'visual',
    ),
    { image: 'prompt' },
  );
}

/** [prompt, visual, width] → [visual, width]. */
function flat(features: Tensor): Tensor {
  const width = features.shape.at(-1) as { name: string; size: number };
  return reshape(features, [{ name: 'visual', size: count(features.shape) / width.size }, width]);
}
