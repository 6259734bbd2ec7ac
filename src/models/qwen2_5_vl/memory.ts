import type { LayerFloats } from '../vlm/architecture.js';
import type { QwenConfig } from './config.js';

/** Floats that layers of a Qwen2.5-VL keep for the backward pass. */
export function layerFloats({ text, vision }: QwenConfig): LayerFloats {
  const { hidden, heads, kvHeads, headDim, intermediate } = text;
  return {
    // The stream twice with its norms; queries, what they gather, and that again in order; keys and values, and those
    // in order; gate as it comes and bent, up, their product.
    token: 4 * hidden + 3 * heads * headDim + 4 * kvHeads * headDim + 4 * intermediate,
    // The stream twice with its norms; queries, keys and values joined, turned, and apart; what is gathered, and that
    // again in order; the four of the gated layer.
    patch: 14 * vision.hidden + 4 * vision.intermediate,
    // Queries, keys and values; gate and up.
    joined: [(heads + 2 * kvHeads) * headDim, 2 * intermediate].map((out) => hidden * out),
  };
}
