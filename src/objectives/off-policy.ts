import type { Tensor } from '../tensor/graph.js';
import { cast, greaterEqual, lessEqual, or, stopGradient, sub } from '../tensor/ops.js';
import type { Terms } from './objective.js';
import { overTokens } from './ratio.js';

/**
 * Drops bad completions that the policy has moved away from: those of an advantage below 0 whose tokens lost more than
 * `limit` nats on average since they were written.
 *
 * @returns 1 to keep, 0 to drop, [prompt, sample].
 * @see DeepSeek-V3.2, arXiv:2512.02556, section 3.1
 */
export function keptSequences(
  { logProbs, oldLogProbs, samplerLogProbs, mask, advantages }: Terms,
  limit: number,
): Tensor {
  const lost = overTokens(sub(samplerLogProbs ?? oldLogProbs, stopGradient(logProbs)), mask);
  return cast(or(greaterEqual(advantages, 0), lessEqual(lost, limit)), 'float32');
}
