import type { Tensor } from '../tensor/graph.js';
import { and, clip, exp, greaterEqual, lessEqual, minimum, mul, stopGradient, sub, sum, where } from '../tensor/ops.js';
import type { Terms } from './objective.js';
import type { Level } from './ratio.js';

/** How far the trainer's probabilities of the written tokens may lie from the sampler's. */
export interface Correction {
  /** A weight for each token, or the product of them for a completion. */
  readonly level: Level;
  /** Weights beyond the bounds are clamped, or become 0. */
  readonly beyond: 'truncate' | 'mask';
  readonly max: number;
  readonly min?: number | undefined;
}

/**
 * Importance weights for tokens that were drawn with other numerics, or older weights, than the trainer's: exp(old −
 * sampler), bounded.
 *
 * @returns [prompt, sample, token], or [prompt, sample]; constants, 1 where nothing counts.
 * @see TRL, `vllm_importance_sampling_mode`, whose four modes these are
 */
export function mismatchWeights(
  { oldLogProbs, samplerLogProbs, mask }: Pick<Terms, 'oldLogProbs' | 'samplerLogProbs' | 'mask'>,
  { level, beyond, max, min }: Correction,
): Tensor {
  if (!samplerLogProbs) throw new Error('mismatchWeights: expected log-probs of the sampler; got none');
  const apart = mul(sub(stopGradient(oldLogProbs), samplerLogProbs), mask);
  const weights = exp(level === 'token' ? apart : sum(apart, 'token'));
  if (beyond === 'truncate') return min === undefined ? minimum(weights, max) : clip(weights, min, max);
  const within = lessEqual(weights, max);
  return where(min === undefined ? within : and(within, greaterEqual(weights, min)), weights, 0);
}
