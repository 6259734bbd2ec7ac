import type { Tensor } from '../tensor/graph.js';
import { and, cast, greater, minimum, mul, neg, stopGradient } from '../tensor/ops.js';
import { compose, type Additions } from './compose.js';
import type { Objective, Terms, Traced } from './objective.js';

/**
 * Weighs each log-prob by its ratio, held below `max`: no token's gradient is clipped away.
 *
 * @see MiniMax-M1, arXiv:2506.13585, equation 4; the cap of 5 is ScaleRL's, arXiv:2510.13786
 */
export function cispo(kl: number, { max = 5, ...additions }: { readonly max?: number } & Additions = {}): Objective {
  const surrogate = (ratio: Tensor, { logProbs, advantages }: Terms): Traced => ({
    loss: neg(mul(mul(stopGradient(minimum(ratio, max)), advantages), logProbs)),
    reports: { ratio, capped: cast(and(greater(ratio, max), greater(advantages, 0)), 'float32') },
  });
  return compose({ name: `cispo ${kl} ${max}`, average: 'token', surrogate }, kl, additions);
}
