import type { Tensor } from '../tensor/graph.js';
import { add, clip, exp, greaterEqual, log, maximum, mul, neg, stopGradient, sub, sum, where } from '../tensor/ops.js';
import { compose, type Additions } from './compose.js';
import type { Objective, Terms, Traced } from './objective.js';

/** Power and decay of the weight: it peaks where the ratio is k / λ. */
export interface Gamma {
  readonly k: number;
  readonly lambda: number;
}

const SMALLEST = 1e-8;
const LARGEST_LOG = 20;

/**
 * Weighs a completion's log-probs by w^k · exp(λ (1 − w)), w the product of its tokens' ratios: 1 on-policy, less the
 * further off.
 *
 * @see Variational Sequence-Level Soft Policy Optimization, arXiv:2602.10693
 */
export function vespo(
  kl: number,
  {
    positive = { k: 2, lambda: 3 },
    negative = { k: 3, lambda: 2 },
    ...additions
  }: { readonly positive?: Gamma; readonly negative?: Gamma } & Additions = {},
): Objective {
  const surrogate = (_: Tensor, terms: Terms, mismatch?: Tensor): Traced => {
    const gamma = stopGradient(gammaWeights(terms, positive, negative, mismatch));
    return { loss: neg(mul(mul(gamma, terms.advantages), terms.logProbs)), reports: { gamma } };
  };
  const numbers = [positive.k, positive.lambda, negative.k, negative.lambda];
  return compose(
    { name: ['vespo', kl, ...numbers].join(' '), average: 'token', weighs: true, surrogate },
    kl,
    additions,
  );
}

/** [prompt, sample] */
function gammaWeights(
  { logProbs, oldLogProbs, mask, advantages }: Terms,
  positive: Gamma,
  negative: Gamma,
  mismatch?: Tensor,
): Tensor {
  const moved = sum(mul(clip(sub(logProbs, oldLogProbs), -LARGEST_LOG, LARGEST_LOG), mask), 'token');
  const ratio = clip(mismatch ? add(moved, logOf(mismatch)) : moved, Math.log(SMALLEST), LARGEST_LOG);
  const good = greaterEqual(advantages, 0);
  const k = where(good, positive.k, negative.k);
  const lambda = maximum(where(good, positive.lambda, negative.lambda), 1e-4);
  return exp(sub(add(lambda, mul(k, ratio)), mul(lambda, exp(ratio))));
}

/** Of the mismatch of whole completions, [prompt, sample]. */
function logOf(mismatch: Tensor): Tensor {
  const logs = log(clip(mismatch, SMALLEST, Math.exp(LARGEST_LOG)));
  return logs.shape.some(({ name }) => name === 'token') ? sum(logs, 'token') : logs;
}
