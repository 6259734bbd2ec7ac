import type { Tensor } from '../tensor/graph.js';
import { div, greater, mul, neg, sigmoid, sub, where } from '../tensor/ops.js';
import { compose, type Additions } from './compose.js';
import type { Objective, Terms, Traced } from './objective.js';

/** How fast the gate closes as the ratio leaves 1, by the advantage's sign. */
export interface Gate {
  readonly positive: number;
  readonly negative: number;
}

/**
 * A soft gate instead of a clip: σ(τ (ratio − 1)) · 4 / τ, of slope 1 on-policy. @see Soft Adaptive Policy
 * Optimization, arXiv:2511.20347
 */
export function sapo(
  kl: number,
  { positive = 1, negative = 1.05, ...additions }: Partial<Gate> & Additions = {},
): Objective {
  const surrogate = (ratio: Tensor, { advantages }: Terms): Traced => {
    const sharpness = where(greater(advantages, 0), positive, negative);
    const gate = div(mul(sigmoid(mul(sub(ratio, 1), sharpness)), 4), sharpness);
    return { loss: neg(mul(gate, advantages)), reports: { ratio } };
  };
  return compose({ name: `sapo ${kl} ${positive} ${negative}`, average: 'sequence', surrogate }, kl, additions);
}
