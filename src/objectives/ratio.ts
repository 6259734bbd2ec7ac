import type { Tensor } from '../tensor/graph.js';
import { div, exp, maximum, mul, sub, sum } from '../tensor/ops.js';
import type { Terms } from './objective.js';

/** Whether each token has a ratio, or each completion one that its tokens share. */
export type Level = 'token' | 'sequence';

/** Mean over the tokens of each completion that count, [prompt, sample]; 0 where none does. */
export function overTokens(x: Tensor, mask: Tensor): Tensor {
  return div(sum(mul(x, mask), 'token'), maximum(sum(mask, 'token'), 1));
}

/** Of each completion, [prompt, sample]: the mean over its tokens, or the value that they share. */
export function perSample(x: Tensor, mask: Tensor): Tensor {
  return isPerToken(x) ? overTokens(x, mask) : x;
}

/** Whether each token has its own value, rather than each completion. */
export function isPerToken(x: Tensor): boolean {
  return x.shape.some(({ name }) => name === 'token');
}

/**
 * New to old probability: of each token, or the geometric mean over each completion.
 *
 * @returns [prompt, sample, token], or [prompt, sample].
 * @see of completions: GSPO, arXiv:2507.18071, equation 7
 */
export function ratioOf(
  { logProbs, oldLogProbs, mask }: Pick<Terms, 'logProbs' | 'oldLogProbs' | 'mask'>,
  level: Level,
): Tensor {
  const apart = sub(logProbs, oldLogProbs);
  return exp(level === 'token' ? apart : overTokens(apart, mask));
}
