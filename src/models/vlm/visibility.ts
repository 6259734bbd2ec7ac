/** Which tokens see which: prompts among themselves, and completions behind the prompt that their group shares. */
import { sizeOf, type Tensor } from '../../tensor/graph.js';
import { add, cast, concat, constant, expand, greater, iota, mul, order } from '../../tensor/ops.js';
import type { Memory } from './attention.js';

/** Added to scores of what may not be attended to; exp of it is 0 beside any real score. */
export const HIDDEN = -1e30;

/**
 * How the tokens of one layer see each other and what came before: given their own keys and values, all that they may
 * see.
 */
export type Attend = (layer: number, own: Memory) => readonly Memory[];

/** [token, key]: 0 where the key is not after the token, else HIDDEN. */
function causal(tokens: number): Tensor {
  const mask = Float32Array.from({ length: tokens * tokens }, (_, i) =>
    i % tokens <= Math.floor(i / tokens) ? 0 : HIDDEN,
  );
  return constant(mask, { token: tokens, key: tokens });
}

/** [prompt, key]: HIDDEN at the left padding, 0 behind it. @param padding int64 [prompt]: how many. */
export function paddingMask(padding: Tensor, keys: number): Tensor {
  return mul(cast(greater(padding, iota('key', keys)), 'float32'), HIDDEN);
}

/** The prompts' tokens among themselves: each sees itself and what is before it, without the padding. */
export function prefixAttention(padding: Tensor, tokens: number): Attend {
  const mask = order(add(causal(tokens), paddingMask(padding, tokens)), 'prompt', 'token', 'key');
  return (_, own) => [{ ...own, mask }];
}

/**
 * Completions behind the prefixes that their groups share: each token sees the prefix, itself and what is before it in
 * its own completion.
 *
 * Keys and values of the prefix are repeated for each sample: that is little beside the scores, which are then of one
 * piece.
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
