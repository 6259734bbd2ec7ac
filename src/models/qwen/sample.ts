import type { Tensor } from '../../tensor/graph.js';
import { sizeOf } from '../../tensor/graph.js';
import { add, argmax, cast, constant, cumsum, div, exp, greater, iota, logSoftmax, max, mul, pick, where } from '../../tensor/ops.js';
import { HIDDEN } from './text.js';

/** What one turn of sampling gives, [prompt, sample] each. */
export interface Drawn {
  /** int64 */
  readonly token: Tensor;
  /** Of the distribution drawn from. */
  readonly logProb: Tensor;
}

/** Logits in which the given ids can't be drawn. @param logits [… , vocab] */
export function suppress(logits: Tensor, ids: readonly number[]): Tensor {
  if (ids.length === 0) return logits;
  const size = sizeOf(logits, 'vocab') as number;
  const mask = new Float32Array(size);
  for (const id of ids) mask[id] = HIDDEN;
  return add(logits, constant(mask, { vocab: size }));
}

/** The likeliest token; the first of equals. */
export function greedy(logits: Tensor): Drawn {
  const token = argmax(logits, 'vocab');
  return { token, logProb: pick(logSoftmax(logits, 'vocab'), 'vocab', token) };
}

/**
 * Inverse CDF: the first token whose cumulative probability exceeds `uniform`; the last possible one where rounding leaves none.
 *
 * @param uniform [prompt, sample] in [0, 1).
 * @param temperature scalar, above 0.
 */
export function draw(logits: Tensor, uniform: Tensor, temperature: Tensor): Drawn {
  const logProbs = logSoftmax(div(logits, temperature), 'vocab');
  const shares = exp(logProbs);
  const over = greater(cumsum(shares, 'vocab'), uniform);
  const size = sizeOf(logits, 'vocab') as number;
  const last = max(mul(cast(greater(shares, 0), 'int64'), iota('vocab', size)), 'vocab');
  const flags = cast(over, 'float32');
  const token = where(greater(max(flags, 'vocab'), 0), argmax(flags, 'vocab'), last);
  return { token, logProb: pick(logProbs, 'vocab', token) };
}
