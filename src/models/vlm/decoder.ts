/** A family's decoder layers one after another, between the embedding table and the output head. */
import { scoped, type Tensor } from '../../tensor/graph.js';
import { cast, gather, greater, recompute, rmsNorm, where } from '../../tensor/ops.js';
import type { Computing, Rotary, VlmConfig } from './architecture.js';
import { attention, type Memory } from './attention.js';
import { applyLinear } from './linear.js';
import type { Attend } from './visibility.js';
import type { Weights } from './weights.js';

/**
 * Token embeddings with image features in place of the image tokens.
 *
 * @param tokens int64, any dimensions.
 * @param features [visual, width]; none for text alone.
 * @param visual int64 as `tokens`: row of `features` at image tokens, -1 elsewhere.
 */
export function embed(
  weights: Weights,
  { architecture: { modules } }: VlmConfig,
  tokens: Tensor,
  features?: Tensor,
  visual?: Tensor,
): Tensor {
  const text = cast(gather(weights(`${modules.embedding}.weight`), 'vocab', tokens), 'float32');
  if (!features || !visual) return text;
  const pictured = greater(visual, -1);
  return where(pictured, gather(features, 'visual', where(pictured, visual, 0)), text);
}

/** Runs a layer, with or without gradient checkpointing. */
export function checkpointed(
  on: boolean | undefined,
  x: Tensor,
  layer: (x: Tensor) => readonly Tensor[],
): readonly Tensor[] {
  return on ? recompute([x], layer) : layer(x);
}

/**
 * All layers on some tokens.
 *
 * @param x [prompt, (sample,) (token,) width]
 * @param options.keep called with every layer's own keys and values.
 * @returns as `x`, before the last norm.
 */
export function decoder(
  weights: Weights,
  config: VlmConfig,
  x: Tensor,
  rotary: Rotary,
  attend: Attend,
  options: Computing & { readonly keep?: (layer: number, own: Memory) => void } = {},
): Tensor {
  const { architecture, text } = config;
  const layer = (i: number, input: Tensor): readonly Tensor[] => {
    const { hidden, keys, values } = architecture.decoderLayer(weights, config, i, input, rotary, (queries, own) =>
      attention(queries, attend(i, own), text.headDim ** -0.5, options.blocks),
    );
    return [hidden, keys, values];
  };
  let hidden = x;
  for (let i = 0; i < text.layers; i++) {
    const [y, keys, values] = scoped(`${architecture.modules.layers}${i}`, () =>
      checkpointed(options.gradientCheckpointing, hidden, (input) => layer(i, input)),
    ) as [Tensor, Tensor, Tensor];
    options.keep?.(i, { keys, values });
    hidden = y;
  }
  return hidden;
}

/** Logits over the vocabulary, [… , vocab]. */
export function head(weights: Weights, { architecture: { modules }, text }: VlmConfig, hidden: Tensor): Tensor {
  const table = weights.linear(text.tied ? modules.embedding : modules.head);
  return scoped('lm_head', () =>
    applyLinear(table, rmsNorm(hidden, weights(`${modules.norm}.weight`), 'width', text.eps)),
  );
}
