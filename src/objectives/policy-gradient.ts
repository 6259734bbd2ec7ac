import type { Tensor } from '../tensor/graph.js';
import { add, clip, exp, minimum, mul, neg, stopGradient, sub } from '../tensor/ops.js';
import type { Objective, Terms } from './objective.js';

/** How far the ratio of new to old probability may move before its gradient stops. */
export interface Clip {
  readonly low: number;
  readonly high: number;
}

/**
 * The k3 estimate of the divergence from the reference, exp(r − p) − (r − p) − 1, a token; never negative.
 *
 * @see http://joschu.net/blog/kl-approx.html
 */
export function klEstimate({ logProbs, refLogProbs }: Terms): Tensor {
  if (!refLogProbs) throw new Error('klEstimate: expected log-probs of a reference policy; got none');
  const apart = sub(refLogProbs, logProbs);
  return sub(sub(exp(apart), apart), 1);
}

function penalised(loss: Tensor, terms: Terms, kl: number): Tensor {
  return kl === 0 ? loss : add(loss, mul(klEstimate(terms), kl));
}

function clipped(terms: Terms, { low, high }: Clip): Tensor {
  const ratio = exp(sub(terms.logProbs, terms.oldLogProbs));
  return neg(minimum(mul(ratio, terms.advantages), mul(clip(ratio, 1 - low, 1 + high), terms.advantages)));
}

/** Clipped policy gradient, averaged within each completion and then over completions. @see DeepSeekMath, arXiv:2402.03300, equation 3 */
export function grpo(kl: number, range: Clip = { low: 0.2, high: 0.2 }): Objective {
  return { name: `grpo ${kl} ${range.low} ${range.high}`, kl, average: 'sequence', loss: (terms) => penalised(clipped(terms, range), terms, kl) };
}

/** Clipped policy gradient with a wider upper clip, averaged over all tokens of the step. @see DAPO, arXiv:2503.14476, equation 8 */
export function dapo(kl: number, range: Clip = { low: 0.2, high: 0.28 }): Objective {
  return { name: `dapo ${kl} ${range.low} ${range.high}`, kl, average: 'token', loss: (terms) => penalised(clipped(terms, range), terms, kl) };
}

/** Policy gradient at ratio 1, as Seg-R1 was trained: one update a rollout, nothing clipped. @see Seg-R1, `compute_loss` of its GRPO trainer */
export function segR1(kl: number): Objective {
  const loss = (terms: Terms): Tensor => {
    const ratio = exp(sub(terms.logProbs, stopGradient(terms.logProbs)));
    return penalised(neg(mul(ratio, terms.advantages)), terms, kl);
  };
  return { name: `seg-r1 ${kl}`, kl, average: 'sequence', loss };
}
