import type { Tensor } from '../tensor/graph.js';
import { cast, greater, input, mul, sub, total, where } from '../tensor/ops.js';
import type { Objective, Terms } from './objective.js';

/** What a model says of the written tokens, [prompt, sample, token]. */
export interface Scored {
  readonly logProbs: Tensor;
  /** Of each token's distribution, nats. */
  readonly entropy: Tensor;
}

/**
 * The loss of a micro-batch and what is reported of it, as scalars that add up to the step's.
 *
 * Inputs, [prompt, sample, token]: `oldLogProbs`; `refLogProbs` where there is a KL term; `samplerLogProbs` where the mismatch is corrected;
 * `picked` where tokens are picked by entropy; `weight`, which carries the objective's mean; `share`, which carries the mean over all
 * tokens, above 0 at every token that counts and 0 elsewhere; `bonus`, a mean too, where entropy is rewarded.
 * [prompt, sample]: `advantages`, and `sampleShare`, which carries the mean over completions.
 */
export function policyLoss(objective: Objective, seen: Scored, size: { readonly prompt: number; readonly sample: number; readonly token: number }): { readonly loss: Tensor } & Readonly<Record<string, Tensor>> {
  const per = (name: string): Tensor => input(name, 'float32', size);
  const each = (name: string): Tensor => input(name, 'float32', { prompt: size.prompt, sample: size.sample });
  const [share, sampleShare] = [per('share'), each('sampleShare')];
  const counts = greater(share, 0);
  // Padding can be so unlikely that the ratio overflows, and no weight of 0 mends infinity.
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
  const { loss, reports } = objective.trace(terms);
  const mean = (x: Tensor): Tensor => total(mul(x, x.shape.some(({ name }) => name === 'token') ? share : sampleShare));
  const taught = total(mul(loss, per('weight')));
  return {
    loss: objective.entropyBonus === 0 ? taught : sub(taught, mul(total(mul(seen.entropy, per('bonus'))), objective.entropyBonus)),
    entropy: mean(seen.entropy),
    drift: mean(sub(logProbs, terms.samplerLogProbs ?? terms.oldLogProbs)),
    ...Object.fromEntries(Object.entries(reports).map(([name, report]) => [name, mean(report)])),
    logProbs,
  };
}
