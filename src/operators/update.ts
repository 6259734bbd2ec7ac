import type { OperatorFunction } from 'rxjs';

import { UsageError } from '../errors.js';
import type { Policy, TrainRow } from '../models/policy.js';
import type { ReadImage } from '../models/segmenter.js';
import type { Objective } from '../objectives/objective.js';
import type { Advantaged, Updated } from '../records.js';
import { pixelsOf } from './faults.js';
import { finiteLoss, finiteRows, leavingOut } from './finite.js';
import { inSteps } from './in-steps.js';
import { learning } from './learning.js';
import type { ReportStep } from './sft.js';
import { mean, statistics } from './statistics.js';
import { trainRows } from './train-rows.js';
import { objectiveOf, UpdateOptions } from './update-options.js';

/** How a kind of policy turns an objective into its training graph. */
export type GraphOf<Graph> = (objective: Objective) => Graph;

/**
 * One optimizer step, or several, for every `groupsPerStep` groups; rows go on with the last `step` that took them in, marked rows at once.
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

  const stepOn = async (batch: readonly TrainRow[], rows: readonly T[], leftOut: number, leaving: readonly T[]): Promise<number> => {
    const step = policy.version + 1;
    const { gradient, metrics } = await policy.gradient(graph, batch, temperature);
    finiteLoss(metrics);
    const settings = rate(step);
    const norm = await policy.step(gradient, settings);
    const named = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`policy/${name}`, value]));
    const taken = { 'policy/gradientNorm': norm, 'policy/learningRate': settings.learningRate, 'policy/leftOut': leftOut };
    report(step, { ...statistics(rows), 'group/flat': flat(rows), ...named, ...taken }, leaving);
    return step;
  };

  const learned = async (rows: readonly T[], leftOut: number): Promise<(T & Updated)[]> => {
    finiteRows(rows);
    const prompts = await Promise.all(rows.map(async (row) => policy.encode(row, await pixelsOf(readImage, row))));
    const batch = trainRows(rows, prompts, objective, ({ finish }) => checked.truncated === 'learn' || finish === 'stop');
    const scored = await withScores(policy, batch, objective, temperature);
    let step = 0;
    for (let k = 1; k <= checked.updatesPerBatch; k++) step = await stepOn(scored, rows, k === 1 ? leftOut : 0, k === checked.updatesPerBatch ? rows : []);
    return rows.map((row) => ({ ...row, step }));
  };
  return inSteps(checked.groupsPerStep, leavingOut('update', learned));
}

/** Adds what the objective compares with: the reference's log-probs, and, to correct the sampler's, the trainer's own before the step. */
async function withScores(policy: Policy, batch: readonly TrainRow[], { kl, corrects }: Objective, temperature: number): Promise<readonly TrainRow[]> {
  const reference = kl > 0 ? await policy.reference(batch, temperature) : undefined;
  const own = corrects ? await policy.scores(batch, temperature) : undefined;
  return batch.map((row, i) => ({
    ...row,
    perToken: {
      ...row.perToken,
      ...(reference ? { refLogProbs: reference[i] ?? [] } : {}),
      ...(own ? { oldLogProbs: own[i] ?? [], samplerLogProbs: row.perToken['oldLogProbs'] ?? [] } : {}),
    },
  }));
}

/** Share of groups without a difference to learn from. */
function flat(rows: readonly Advantaged[]): number {
  return mean(rows.map(({ advantages }) => (advantages.every((advantage) => advantage === 0) ? 1 : 0)));
}
