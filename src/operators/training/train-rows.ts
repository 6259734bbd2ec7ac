import { defined } from '../../defined.js';
import { UsageError } from '../../errors.js';
import type { TrainRow } from '../../models/policy.js';
import { mostUncertain } from '../../objectives/entropy.js';
import { tokenWeights, type Objective } from '../../objectives/objective.js';
import type { Advantaged, Completion } from '../../records.js';

/**
 * Rows as the policy trains on them, each token with its weights in the step.
 *
 * @param learns whether a completion is learned from; others count as empty.
 * @throws {UsageError} if tokens are picked by entropy and completions have none.
 */
export function trainRows(
  rows: readonly Advantaged[],
  prompts: readonly TrainRow['prompt'][],
  objective: Objective,
  learns: (completion: Completion) => boolean = () => true,
): TrainRow[] {
  const all = rows.flatMap(({ completions }) => completions);
  const lengths = all.map((completion) => (learns(completion) ? completion.tokens.length : 0));
  const spread = (weights: readonly number[]): number[][] => all.map(({ tokens }, i) => tokens.map(() => weights[i]));
  const share = spread(tokenWeights(lengths, 'token'));
  const picked =
    objective.topEntropy < 1
      ? mostUncertain(
          all.map((completion, i) => entropiesOf(completion, lengths[i] === 0)),
          objective.topEntropy,
        )
      : undefined;
  const perToken: Record<string, readonly (readonly number[])[]> = {
    oldLogProbs: all.map(({ logProbs }) => logProbs),
    weight: spread(tokenWeights(lengths, objective.average)),
    share,
    ...defined({ picked }),
    ...(objective.entropyBonus > 0 ? { bonus: picked ? evenly(picked) : share } : {}),
  };
  let at = 0;
  return rows.map(({ completions, advantages }, r) => {
    const first = at;
    at += completions.length;
    return {
      prompt: prompts[r],
      completions: completions.map(({ tokens }) => tokens),
      perToken: Object.fromEntries(Object.entries(perToken).map(([name, values]) => [name, values.slice(first, at)])),
      perSample: { advantages, sampleShare: advantages.map(() => 1 / all.length) },
    };
  });
}

function entropiesOf({ entropies, tokens }: Completion, left: boolean): readonly number[] {
  if (!entropies)
    throw new UsageError(
      'update  topEntropy: expected completions that came with entropies; got none; way out: rollout.entropy: true',
    );
  return left ? tokens.map(() => NaN) : entropies;
}

/** The same rows, so that they sum to 1. */
function evenly(rows: readonly (readonly number[])[]): number[][] {
  const total = rows.flat().reduce((sum, one) => sum + one, 0);
  return rows.map((row) => row.map((one) => one / Math.max(1, total)));
}
