import { count, type Tensor } from '../../tensor/graph.js';
import { input, order, reshape, slice, drop } from '../../tensor/ops.js';
import type { QwenConfig } from './config.js';
import type { Grid } from './positions.js';
import { decoder, embed, prefixAttention, type Memory } from './text.js';
import { visionTower } from './vision.js';
import type { Weights } from './weights.js';

/** What fixes the shape of a batch of prompts: one graph serves all batches that agree in it. */
export interface PrefixShape {
  readonly prompts: number;
  /** Tokens of the longest prompt, padding included. */
  readonly tokens: number;
  /** Of each prompt's image, in patches; none for text alone. */
  readonly grid?: Grid;
}

/** Prompts after the model has read them. */
export interface Prefix {
  /** [prompt, width]: at the last token, before the last norm. */
  readonly last: Tensor;
  /** [prompt, token, width] */
  readonly hidden: Tensor;
  /** By layer: keys and values that completions see, the padding masked. */
  readonly memory: readonly Memory[];
  /** [prompt, visual, width]: features of each prompt's image. */
  readonly features?: Tensor;
}

/**
 * Reads a batch of left-padded prompts, one image each.
 *
 * Inputs of the graph: `tokens` and `visual` int64 [prompt, token], `padding` int64 [prompt], `cos` and `sin` [prompt, token, half],
 * `pixels` [prompt, patch, pixel] where there is a grid.
 */
export function readPrefix(weights: Weights, config: QwenConfig, { prompts, tokens, grid }: PrefixShape): Prefix {
  const place = { prompt: prompts, token: tokens };
  const half = config.text.headDim / 2;
  const rotary = { cos: input('cos', 'float32', { ...place, half }), sin: input('sin', 'float32', { ...place, half }) };
  const features = grid && imageFeatures(weights, config, prompts, grid);
  const x = embed(weights, input('tokens', 'int64', place), features && flat(features), features && input('visual', 'int64', place));
  const memory: Memory[] = [];
  const keep = (layer: number, own: Memory): void => {
    const side = (t: Tensor): Tensor => order(t, 'prompt', 'kv', 'key', 'hd');
    memory[layer] = { ...own, keys: side(own.keys), values: side(own.values) };
  };
  const hidden = decoder(weights, config, x, rotary, prefixAttention(input('padding', 'int64', { prompt: prompts }), tokens, keep));
  return { last: drop(slice(hidden, 'token', -1, 1), 'token'), hidden, memory, ...(features ? { features } : {}) };
}

function imageFeatures(weights: Weights, config: QwenConfig, prompts: number, grid: Grid): Tensor {
  const { patch, temporalPatch } = config.vision;
  const pixels = input('pixels', 'float32', { image: prompts, patch: grid.h * grid.w, pixel: 3 * temporalPatch * patch * patch });
  const features = visionTower(weights, config, pixels, grid);
  return reshape(features, features.shape.map(({ name, size }) => ({ name: name === 'image' ? 'prompt' : name, size })));
}

/** [prompt, visual, width] → [visual, width]. */
function flat(features: Tensor): Tensor {
  const width = features.shape.at(-1) as { name: string; size: number };
  return reshape(features, [{ name: 'visual', size: count(features.shape) / width.size }, width]);
}
