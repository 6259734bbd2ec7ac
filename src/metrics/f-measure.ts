import { precision, recall } from './overlap.js';
import type { Outcome } from './threshold.js';

const BETA_SQUARED = 0.3;

/**
 * F-measure in [0, 1]: precision and recall in one, precision weighing more; 0 where nothing is hit.
 *
 * @see Achanta et al., Frequency-tuned salient region detection, CVPR 2009.
 */
export function fMeasure(outcome: Outcome): number {
  if (outcome.hits === 0) return 0;
  const [p, r] = [precision(outcome), recall(outcome)];
  return ((1 + BETA_SQUARED) * p * r) / (BETA_SQUARED * p + r);
}
