import type { Tensor } from '../tensor/graph.js';
import { exp, sub } from '../tensor/ops.js';
import type { Terms } from './objective.js';

/**
 * The k3 estimate of the divergence from the reference, exp(r − p) − (r − p) − 1, a token; never negative.
 *
 * Times the ratio of new to old probability it is unbiased for tokens that the old weights drew.
 *
 * @see http://joschu.net/blog/kl-approx.html; with the ratio, DeepSeek-V3.2, arXiv:2512.02556
 */
export function klEstimate({ logProbs, refLogProbs }: Pick<Terms, 'logProbs' | 'refLogProbs'>): Tensor {
  if (!refLogProbs) throw new Error('klEstimate: expected log-probs of a reference policy; got none');
  const apart = sub(refLogProbs, logProbs);
  return sub(sub(exp(apart), apart), 1);
}
