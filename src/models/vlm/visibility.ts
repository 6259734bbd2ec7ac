/** Attention masks: prompts among themselves, and completions after the prompt that their group shares. */
import { sizeOf, type Tensor } from '../../tensor/graph.js';
import { add, cast, concat, constant, expand, greater, iota, mul, order } from '../../tensor/ops.js';
import type { Memory } from './attention.js';

/** Added to masked scores; its exp is 0 beside any real score. */
export const HIDDEN = -1e30;

/** Maps the own keys and values of a layer's tokens to all keys and values that they may see. */
export type Attend = (layer: number, own: Memory) => readonly Memory[];

/** [token, key]: 0 where the key is not after the token, else HIDDEN. */
function causal(tokens: number): Tensor {
  const mask = Float32Array.from({ length: tokens * tokens }, (_, i) =>
    i % tokens <= Math.floor(i / tokens) ? 0 : HIDDEN,
  );
  return constant(mask, { token: tokens, key: tokens });
}

/** [prompt, key]: HIDDEN at the left padding, 0 after it. @param padding int64 [prompt]: how many. */
export function paddingMask(padding: Tensor, keys: number): Tensor {
  return mul(cast(greater(padding, iota('key', keys)), 'float32'), HIDDEN);
}

/** The prompts' tokens among themselves: each sees itself and earlier ones, without the padding. */
export function prefixAttention(padding: Tensor, tokens: number): Attend {
  const mask = order(add(causal(tokens), paddingMask(padding, tokens)), 'prompt', 'token', 'key');
  return (_, own) => [{ ...own, mask }];
}

/**
 * Completions after the prefixes that their groups share: each token sees the prefix, itself and earlier tokens of its
 * own completion. Keys and values of the prefix are repeated for each sample: that is small beside the scores, which
 * then need no joining.
 */
export function completionAttention(prefix: readonly Memory[], tokens: number): Attend {
  const own = causal(tokens);
  const joined = (before: Tensor, behind: Tensor): Tensor =>
    concat(
      [
        expand(
          before,
          behind.shape.map(({ name, size }) => ({
            name,
            size: name === 'key' ? (sizeOf(before, name) as number) : size,
          })),
        ),
        behind,
      ],
      'key',
    );
  const mask = prefix[0]?.mask;
  const seen = mask && joined(mask, expand(own, [mask.shape[0], ...own.shape]));
  return (layer, { keys, values }) => {
    const before = prefix[layer];
    return [
      { keys: joined(before.keys, keys), values: joined(before.values, values), ...(seen ? { mask: seen } : {}) },
    ];
  };
}
