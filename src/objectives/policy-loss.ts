import type { Tensor } from '../tensor/graph.js';
import { abs, cast, greater, input, max, mul, neg, sub, sum, total, where } from '../tensor/ops.js';
import type { Objective, Terms } from './objective.js';
import { isPerToken } from './ratio.js';

/** A model's values for the written tokens, [prompt, sample, token]. */
export interface Scored {
  readonly logProbs: Tensor;
  /** Of each token's distribution, nats. */
  readonly entropy: Tensor;
}

/**
 * The loss of a microbatch and its reports, as scalars that sum to the step's; for names that end in `Min` or `Max` the
 * smallest or largest is the step's, infinite where nothing counts.
 *
 * Inputs, [prompt, sample, token]: `oldLogProbs`; `refLogProbs` where there is a KL term; `samplerLogProbs` where the
 * mismatch is corrected; `picked` where tokens are picked by entropy; `weight`, which carries the objective's mean;
 * `share`, which carries the mean over all tokens, above 0 at every token that counts and 0 elsewhere; `bonus`, a mean
 * too, where entropy is rewarded. [prompt, sample]: `advantages`, and `sampleShare`, which carries the mean over
 * completions.
 */
export function policyLoss(
  objective: Objective,
  seen: Scored,
  size: { readonly prompt: number; readonly sample: number; readonly token: number },
): { readonly loss: Tensor } & Readonly<Record<string, Tensor>> {
  const per = (name: string): Tensor => input(name, 'float32', size);
  const each = (name: string): Tensor => input(name, 'float32', { prompt: size.prompt, sample: size.sample });
  const [share, sampleShare] = [per('share'), each('sampleShare')];
  const counts = greater(share, 0);
  // Padding can be so unlikely that the ratio overflows, and infinity times a weight of 0 is NaN.
  const logProbs = where(counts, seen.logProbs, 0);
  const terms: Terms = {
    logProbs,
    oldLogProbs: per('oldLogProbs'),
    ...(objective.kl > 0 ? { refLogProbs: per('refLogProbs') } : {}),
    ...(objective.corrects ? { samplerLogProbs: per('samplerLogProbs') } : {}),
    ...(objective.topEntropy < 1 ? { picked: per('picked') } : {}),
    mask: cast(counts, 'float32'),
    advantages: each('advantages'),
  };
  const { loss, reports, extremes = {} } = objective.trace(terms);
  const mean = (x: Tensor): Tensor => total(mul(x, isPerToken(x) ? share : sampleShare));
  const extreme = (name: string, x: Tensor): Tensor => {
    const largest = (y: Tensor): Tensor =>
      max(
        where(isPerToken(x) ? counts : greater(sum(terms.mask, 'token'), 0), y, -Infinity),
        ...y.shape.map((dim) => dim.name),
      );
    return name.endsWith('Min') ? neg(largest(neg(x))) : largest(x);
  };
  // Distance of the sampler's log-probs from the trainer's: those before the step if computed, else those of the
  // current weights.
  const apart = abs(
    terms.samplerLogProbs ? sub(terms.oldLogProbs, terms.samplerLogProbs) : sub(logProbs, terms.oldLogProbs),
  );
  const taught = total(mul(loss, per('weight')));
  return {
    loss:
      objective.entropyBonus === 0
        ? taught
        : sub(taught, mul(total(mul(seen.entropy, per('bonus'))), objective.entropyBonus)),
    entropy: mean(seen.entropy),
    drift: mean(sub(logProbs, terms.samplerLogProbs ?? terms.oldLogProbs)),
    apart: mean(apart),
    apartMax: extreme('apartMax', apart),
    ...Object.fromEntries(Object.entries(reports).map(([name, report]) => [name, mean(report)])),
    ...Object.fromEntries(Object.entries(extremes).map(([name, report]) => [name, extreme(name, report)])),
    logProbs,
  };
}
