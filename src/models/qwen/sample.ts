import type { Tensor } from '../../tensor/graph.js';
import { sizeOf } from '../../tensor/graph.js';
import { add, and, argmax, cast, constant, cumsum, div, drop, equal, exp, greater, greaterEqual, iota, less, lessEqual, logSoftmax, max, minimum, mul, neg, or, pick, slice, softmax, sub, sum, top, where } from '../../tensor/ops.js';
import type { Sampling } from '../policy.js';
import { HIDDEN } from './text.js';

/** What one turn of sampling gives, [prompt, sample] each. */
export interface Drawn {
  /** int64 */
  readonly token: Tensor;
  /** Of the distribution drawn from. */
  readonly logProb: Tensor;
  /** Of the same distribution, nats. */
  readonly entropy: Tensor;
}

/** Logits in which the given ids can't be drawn. @param logits [… , vocab] */
export function suppress(logits: Tensor, ids: readonly number[]): Tensor {
  if (ids.length === 0) return logits;
  const size = sizeOf(logits, 'vocab') as number;
  const mask = new Float32Array(size);
  for (const id of ids) mask[id] = HIDDEN;
  return add(logits, constant(mask, { vocab: size }));
}

/** Logits in which ids that were seen are rarer, once each. @param seen bool, as `logits` */
export function penalise(logits: Tensor, seen: Tensor, penalty: number): Tensor {
  return where(seen, where(greater(logits, 0), div(logits, penalty), mul(logits, penalty)), logits);
}

/** Logits in which only what the limits leave can be drawn. @param logits [… , vocab], at their temperature */
export function narrow(logits: Tensor, { topK = 0, topP = 1, minP = 0 }: Sampling): Tensor {
  let left = logits;
  if (topK > 0) left = only(left, likeliest(left, topK));
  if (topP < 1) left = only(left, nucleus(left, topP));
  if (minP > 0) left = only(left, greaterEqual(left, add(max(left, 'vocab'), Math.log(minP))));
  return left;
}

const only = (logits: Tensor, kept: Tensor): Tensor => where(kept, logits, HIDDEN);

/** The `k` largest and what ties with the last of them. */
function likeliest(logits: Tensor, k: number): Tensor {
  const largest = top(logits, 'vocab', Math.min(k, sizeOf(logits, 'vocab') as number));
  return greaterEqual(logits, drop(slice(largest, 'vocab', -1, 1), 'vocab'));
}

/** All but the least likely that have no more than `1 - topP` together, and at least one; of equals the last stay. */
function nucleus(logits: Tensor, topP: number): Tensor {
  const shares = softmax(logits, 'vocab');
  const size = sizeOf(logits, 'vocab') as number;
  const number = (flags: Tensor): Tensor => sum(cast(flags, 'int64'), 'vocab');
  const rising = neg(top(neg(shares), 'vocab', size));
  const out = minimum(number(lessEqual(cumsum(rising, 'vocab'), 1 - topP)), size - 1);
  const least = pick(rising, 'vocab', out);
  const level = equal(shares, least);
  const outOfLevel = sub(out, number(less(shares, least)));
  return or(greater(shares, least), and(level, greater(cumsum(cast(level, 'int64'), 'vocab'), outOfLevel)));
}

/** The likeliest token; the first of equals. */
export function greedy(logits: Tensor): Drawn {
  const token = argmax(logits, 'vocab');
  const logProbs = logSoftmax(logits, 'vocab');
  return { token, logProb: pick(logProbs, 'vocab', token), entropy: entropyOf(exp(logProbs), logProbs) };
}

/**
 * Inverse CDF: the first token whose cumulative probability exceeds `uniform`; the last possible one where rounding leaves none.
 *
 * @param uniform [prompt, sample] in [0, 1).
 * @param temperature scalar, above 0.
 * @param limits what may be drawn; the penalty is not among them.
 */
export function draw(logits: Tensor, uniform: Tensor, temperature: Tensor, limits: Sampling = {}): Drawn {
  const logProbs = logSoftmax(narrow(div(logits, temperature), limits), 'vocab');
  const shares = exp(logProbs);
  const over = greater(cumsum(shares, 'vocab'), uniform);
  const size = sizeOf(logits, 'vocab') as number;
  const last = max(mul(cast(greater(shares, 0), 'int64'), iota('vocab', size)), 'vocab');
  const flags = cast(over, 'float32');
  const token = where(greater(max(flags, 'vocab'), 0), argmax(flags, 'vocab'), last);
  return { token, logProb: pick(logProbs, 'vocab', token), entropy: entropyOf(shares, logProbs) };
}

const entropyOf = (shares: Tensor, logProbs: Tensor): Tensor => neg(sum(mul(shares, logProbs), 'vocab'));
