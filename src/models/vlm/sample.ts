import type { Tensor } from '../../tensor/graph.js';
import { sizeOf } from '../../tensor/graph.js';
import {
  add,
  and,
  argmax,
  cast,
  constant,
  div,
  drop,
  equal,
  exp,
  greater,
  greaterEqual,
  iota,
  less,
  logAnywhere,
  max,
  mul,
  neg,
  or,
  pick,
  quantile,
  slice,
  softmax,
  sub,
  sum,
  sumByBlocks,
  top,
  where,
} from '../../tensor/ops.js';
import type { Sampling } from '../policy.js';
import { HIDDEN } from './visibility.js';

/** Result of one turn of sampling, [prompt, sample] each. */
export interface Drawn {
  /** int64 */
  readonly token: Tensor;
  /** Under the distribution drawn from. */
  readonly logProb: Tensor;
  /** Of the same distribution, nats. */
  readonly entropy: Tensor;
}

/** Logits with the given ids excluded. @param logits [… , vocab] */
export function suppress(logits: Tensor, ids: readonly number[]): Tensor {
  if (ids.length === 0) return logits;
  const size = sizeOf(logits, 'vocab') as number;
  const mask = new Float32Array(size);
  for (const id of ids) mask[id] = HIDDEN;
  return add(logits, constant(mask, { vocab: size }));
}

/** Logits with a repetition penalty on seen ids, once each. @param seen bool, as `logits` */
export function penalise(logits: Tensor, seen: Tensor, penalty: number): Tensor {
  return where(seen, where(greater(logits, 0), div(logits, penalty), mul(logits, penalty)), logits);
}

/**
 * Logits with the sampling limits applied.
 *
 * @param logits [… , vocab], at their temperature
 */
export function narrow(logits: Tensor, { topK = 0, topP = 1, minP = 0 }: Sampling): Tensor {
  let left = logits;
  if (topK > 0) left = only(left, likeliest(left, topK));
  if (topP < 1) left = only(left, nucleus(left, topP));
  if (minP > 0) left = only(left, greaterEqual(left, add(max(left, 'vocab'), Math.log(minP))));
  return left;
}

const only = (logits: Tensor, kept: Tensor): Tensor => where(kept, logits, HIDDEN);

/** The `k` largest, and ties with the last of them. */
function likeliest(logits: Tensor, k: number): Tensor {
  const largest = top(logits, 'vocab', Math.min(k, sizeOf(logits, 'vocab') as number));
  return greaterEqual(logits, drop(slice(largest, 'vocab', -1, 1), 'vocab'));
}

/** All but the least likely with a total of at most `1 - topP`, and at least one; of equals the last stay. */
function nucleus(logits: Tensor, topP: number): Tensor {
  const size = sizeOf(logits, 'vocab') as number;
  const rising = neg(top(neg(logits), 'vocab', size));
  const out = quantile(softmax(rising, 'vocab'), 'vocab', 1 - topP);
  const least = pick(rising, 'vocab', out);
  const level = equal(logits, least);
  const outOfLevel = sub(cast(out, 'float32'), number(less(logits, least)));
  // Half a token further, between two counts: rounding can't change there which token it is.
  const first = quantile(cast(level, 'float32'), 'vocab', div(add(outOfLevel, 0.5), number(level)));
  return or(greater(logits, least), and(level, greaterEqual(iota('vocab', size), first)));
}

/** How many there are, exact below 2^24. */
const number = (flags: Tensor): Tensor => sum(cast(flags, 'float32'), 'vocab');

/** The likeliest token; the first of equals. */
export function greedy(logits: Tensor): Drawn {
  return drawnFrom(logits, () => argmax(logits, 'vocab'));
}

/**
 * Inverse CDF: the first token whose cumulative probability exceeds `uniform`, never one of probability 0.
 *
 * @param uniform [prompt, sample] in [0, 1).
 * @param temperature scalar, above 0.
 * @param limits of sampling, without the penalty.
 */
export function draw(logits: Tensor, uniform: Tensor, temperature: Tensor, limits: Sampling = {}): Drawn {
  return drawnFrom(narrow(div(logits, temperature), limits), (weights) => quantile(weights, 'vocab', uniform));
}

/** A token drawn by weights that are 1 for the likeliest; a softmax would be off by 1e-4 over a large vocabulary. */
function drawnFrom(logits: Tensor, choose: (weights: Tensor) => Tensor): Drawn {
  const below = sub(logits, max(logits, 'vocab'));
  const weights = exp(below);
  const whole = sumByBlocks(weights, 'vocab');
  const token = choose(weights);
  return {
    token,
    logProb: sub(pick(below, 'vocab', token), logAnywhere(whole)),
    entropy: sub(logAnywhere(whole), div(sumByBlocks(mul(weights, below), 'vocab'), whole)),
  };
}
