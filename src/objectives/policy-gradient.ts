import type { Tensor } from '../tensor/graph.js';
import { add, and, cast, clip, exp, greater, less, minimum, mul, neg, stopGradient, sub } from '../tensor/ops.js';
import { compose, type Additions, type Recipe } from './compose.js';
import type { Objective, Terms, Traced } from './objective.js';
import { perSample } from './ratio.js';

/** How far the ratio of new to old probability may move before its gradient stops. */
export interface Clip {
  readonly low: number;
  readonly high: number;
  /**
   * The largest ratio that counts, also where the advantage is below 0: two-sided clipping. @see INTELLECT-2,
   * arXiv:2505.07291
   */
  readonly max?: number | undefined;
}

/** A clip with the options of any objective. */
export type Clipping = Clip & Additions;

const SYMMETRIC: Clip = { low: 0.2, high: 0.2 };
const HIGHER: Clip = { low: 0.2, high: 0.28 };
const NARROW: Clip = { low: 3e-4, high: 4e-4 };

function clipped(ratio: Tensor, { advantages, mask }: Terms, { low, high, max }: Clip): Traced {
  const held = max === undefined ? ratio : minimum(ratio, max);
  const beyond = (out: Tensor, wanted: Tensor): Tensor => cast(and(out, wanted), 'float32');
  const clipLow = beyond(less(held, 1 - low), less(advantages, 0));
  const clipHigh = beyond(greater(held, 1 + high), greater(advantages, 0));
  return {
    loss: neg(minimum(mul(held, advantages), mul(clip(ratio, 1 - low, 1 + high), advantages))),
    reports: { ratio, clipLow, clipHigh, clip: add(clipLow, clipHigh) },
    extremes: { clipLowMin: perSample(clipLow, mask), clipHighMax: perSample(clipHigh, mask) },
  };
}

function clipping(
  name: string,
  average: Recipe['average'],
  kl: number,
  { low, high, max, ...additions }: Clipping,
): Objective {
  const numbers = max === undefined ? [kl, low, high] : [kl, low, high, max];
  return compose(
    {
      name: [name, ...numbers].join(' '),
      average,
      surrogate: (ratio, terms) => clipped(ratio, terms, { low, high, max }),
    },
    kl,
    additions,
  );
}

/**
 * Clipped policy gradient, averaged within each completion and then over completions. @see DeepSeekMath,
 * arXiv:2402.03300, equation 3
 */
export function grpo(kl: number, options: Clipping = SYMMETRIC): Objective {
  return clipping('grpo', 'sequence', kl, options);
}

/** GRPO averaged over all tokens of the batch, which is the step here. @see TRL's loss of that name */
export function bnpo(kl: number, options: Clipping = SYMMETRIC): Objective {
  return clipping('bnpo', 'token', kl, options);
}

/**
 * GRPO without the bias to short good answers and long bad ones: sums over completions, all divided by the same
 * `tokens`. @see Dr. GRPO, arXiv:2503.20783
 */
export function drGrpo(kl: number, tokens: number, options: Clipping = SYMMETRIC): Objective {
  return clipping(`dr-grpo ${tokens}`, { tokens }, kl, options);
}

/**
 * Clipped policy gradient with a wider upper clip, averaged over all tokens of the step. @see DAPO, arXiv:2503.14476,
 * equation 8
 */
export function dapo(kl: number, options: Clipping = HIGHER): Objective {
  return clipping('dapo', 'token', kl, options);
}

/** GRPO with one ratio for each completion, the geometric mean of its tokens'. @see GSPO, arXiv:2507.18071 */
export function gspo(kl: number, options: Clipping = NARROW): Objective {
  return clipping('gspo', 'sequence', kl, { ...options, level: 'sequence' });
}

/** GSPO with each completion's loss scaled by its length. @see LUSPO, arXiv:2602.05261 */
export function luspo(kl: number, options: Clipping = NARROW): Objective {
  return clipping('luspo', { tokens: 1 }, kl, { level: 'sequence', ...options });
}

/**
 * Policy gradient at ratio 1, as Seg-R1 was trained: one update for each rollout, no clipping. @see Seg-R1,
 * `compute_loss` of its GRPO trainer
 */
export function segR1(kl: number, additions: Additions = {}): Objective {
  const surrogate = (_: Tensor, { logProbs, advantages }: Terms): Traced => {
    return { loss: neg(mul(exp(sub(logProbs, stopGradient(logProbs))), advantages)), reports: {} };
  };
  return compose({ name: `seg-r1 ${kl}`, average: 'sequence', surrogate }, kl, additions);
}
