import type { Tensor } from '../tensor/graph.js';
import { add, mul } from '../tensor/ops.js';
import { klEstimate } from './kl.js';
import { mismatchWeights, type Correction } from './mismatch.js';
import type { Average, Objective, Terms, Traced } from './objective.js';
import { keptSequences } from './off-policy.js';
import { ratioOf, type Level } from './ratio.js';

/** Options that any objective may have. */
export interface Additions {
  /** Of the ratio; a token by default. */
  readonly level?: Level;
  /** Whether the KL estimate is multiplied by the ratio. */
  readonly klCorrected?: boolean;
  readonly correction?: Correction;
  /** Nats a token, beyond which `keptSequences` drops a bad completion. */
  readonly offPolicy?: number;
  readonly entropyBonus?: number;
  readonly topEntropy?: number;
}

/** The parts of an objective. */
export interface Recipe {
  readonly name: string;
  readonly average: Average;
  /** Whether the surrogate itself uses the mismatch weights. */
  readonly weighs?: boolean;
  /** The surrogate: a loss that falls as good tokens become likelier. */
  readonly surrogate: (ratio: Tensor, terms: Terms, mismatch?: Tensor) => Traced;
}

/** An objective: the surrogate loss, where it applies, and the divergence from the reference at every token. */
export function compose(
  { name, average, weighs = false, surrogate }: Recipe,
  kl = 0,
  additions: Additions = {},
): Objective {
  const { level = 'token', klCorrected = false, correction, offPolicy, entropyBonus = 0, topEntropy = 1 } = additions;
  const trace = (terms: Terms): Traced => {
    const ratio = ratioOf(terms, level);
    const weights = correction && mismatchWeights(terms, correction);
    const kept = offPolicy === undefined ? undefined : keptSequences(terms, offPolicy);
    const taught = surrogate(ratio, terms, weights);
    const loss = [kept, terms.picked, weighs ? undefined : weights].reduce(
      (product: Tensor, factor) => (factor ? mul(product, factor) : product),
      taught.loss,
    );
    const divergence = kl === 0 ? undefined : klCorrected ? mul(klEstimate(terms), ratio) : klEstimate(terms);
    return {
      loss: divergence ? add(loss, mul(divergence, kl)) : loss,
      reports: {
        ...taught.reports,
        ...(weights ? { mismatch: weights } : {}),
        ...(kept ? { kept } : {}),
        ...(divergence ? { kl: divergence } : {}),
      },
      extremes: { ...taught.extremes, ...(weights ? { mismatchMin: weights, mismatchMax: weights } : {}) },
    };
  };
  const more = JSON.stringify(additions);
  return {
    name: more === '{}' ? name : `${name} ${more}`,
    kl,
    average,
    corrects: correction !== undefined,
    entropyBonus,
    topEntropy,
    trace,
  };
}
