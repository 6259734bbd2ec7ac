import type { OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { UsageError } from '../errors.js';
import type { Policy, TrainRow } from '../models/policy.js';
import type { ReadImage } from '../models/segmenter.js';
import { tokenWeights, type Objective } from '../objectives/objective.js';
import { dapo, grpo, segR1 } from '../objectives/policy-gradient.js';
import type { Advantaged, Updated } from '../records.js';
import { pixelsOf } from './faults.js';
import { finiteLoss, finiteRows, leavingOut } from './finite.js';
import { inSteps } from './in-steps.js';
import { learning, LearningOptions } from './learning.js';
import type { ReportStep } from './sft.js';
import { statistics } from './statistics.js';

export const UpdateOptions = z.strictObject({
  ...LearningOptions.shape,
  /** `grpo` and `seg-r1` average within completions first, `dapo` over all tokens; `seg-r1` doesn't clip. */
  objective: z.enum(['grpo', 'dapo', 'seg-r1']).default('grpo'),
  /** How far the ratio of new to old probability may fall, and rise, before its gradient stops. */
  clip: z.number().positive().optional(),
  clipHigh: z.number().positive().optional(),
  /** Coefficient of the divergence from the policy as it was opened; 0 costs nothing. */
  kl: z.number().min(0).default(0),
  /** Groups in one optimizer step. */
  groupsPerStep: z.int().min(1).default(8),
});
export type UpdateOptions = z.input<typeof UpdateOptions>;

/** How a kind of policy turns an objective into its training graph. */
export type GraphOf<Graph> = (objective: Objective) => Graph;

/** The objective that the options name. */
export function objectiveOf({ objective, clip, clipHigh, kl }: z.output<typeof UpdateOptions>): Objective {
  switch (objective) {
    case 'grpo':
      return grpo(kl, { low: clip ?? 0.2, high: clipHigh ?? clip ?? 0.2 });
    case 'dapo':
      return dapo(kl, { low: clip ?? 0.2, high: clipHigh ?? 0.28 });
    case 'seg-r1':
      return segR1(kl);
  }
}

/**
 * One optimizer step for every `groupsPerStep` groups; rows go on with their `step` once it is taken, marked rows at once.
 *
 * @param temperature that the completions were written at: log-probs are recomputed at it.
 * @throws {UsageError} if it is 0.
 */
export function update<Graph, T extends Advantaged>(
  policy: Policy<Graph>,
  graphOf: GraphOf<Graph>,
  readImage: ReadImage,
  temperature: number,
  report: ReportStep,
  options: UpdateOptions = {},
): OperatorFunction<T, T & Updated> {
  const checked = UpdateOptions.parse(options);
  if (temperature <= 0) throw new UsageError(`update  temperature: expected completions drawn at one above 0; got ${temperature}, where every group is one completion over and over`);
  const objective = objectiveOf(checked);
  const graph = graphOf(objective);
  const rate = learning(checked);

  const learned = async (rows: readonly T[], leftOut: number): Promise<(T & Updated)[]> => {
    finiteRows(rows);
    const step = policy.version + 1;
    const prompts = await Promise.all(rows.map(async (row) => policy.encode(row, await pixelsOf(readImage, row))));
    const batch = trainRows(rows, prompts, objective);
    const scored = objective.kl > 0 ? withReference(batch, await policy.reference(batch, temperature)) : batch;
    const { gradient, metrics } = await policy.gradient(graph, scored, temperature);
    finiteLoss(metrics);
    const settings = rate(step);
    const norm = await policy.step(gradient, settings);
    const named = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`policy/${name}`, value]));
    report(step, { ...statistics(rows), ...named, 'policy/gradientNorm': norm, 'policy/learningRate': settings.learningRate, 'policy/leftOut': leftOut }, rows);
    return rows.map((row) => ({ ...row, step }));
  };
  return inSteps(checked.groupsPerStep, leavingOut('update', learned));
}

/** Rows as the policy trains on them, each token with its weight in the step. */
export function trainRows(rows: readonly Advantaged[], prompts: readonly TrainRow['prompt'][], objective: Objective): TrainRow[] {
  const lengths = rows.map(({ completions }) => completions.map(({ tokens }) => tokens.length));
  const weights = tokenWeights(lengths.flat(), objective.average);
  const shares = tokenWeights(lengths.flat(), 'token');
  let at = 0;
  return rows.map(({ completions, advantages }, r) => {
    const first = at;
    at += completions.length;
    const each = (values: readonly number[]): number[][] => completions.map(({ tokens }, s) => tokens.map(() => values[first + s] as number));
    return {
      prompt: prompts[r] as TrainRow['prompt'],
      completions: completions.map(({ tokens }) => tokens),
      perToken: { oldLogProbs: completions.map(({ logProbs }) => logProbs), weight: each(weights), share: each(shares) },
      perSample: { advantages },
    };
  });
}

function withReference(rows: readonly TrainRow[], scores: readonly (readonly (readonly number[])[])[]): TrainRow[] {
  return rows.map((row, i) => ({ ...row, perToken: { ...row.perToken, refLogProbs: scores[i] ?? [] } }));
}
