import { pipe, type OperatorFunction } from 'rxjs';

import { UsageError } from '../errors.js';
import type { Policy, TrainRow } from '../models/policy.js';
import type { ReadImage } from '../models/segmenter.js';
import type { Objective } from '../objectives/objective.js';
import type { Advantaged, Updated } from '../records.js';
import { pixelsOf } from './faults.js';
import { finiteLoss, finiteRows, leavingOut } from './finite.js';
import { inSteps } from './in-steps.js';
import { learning } from './learning.js';
import { chosen, isFlat, refilled } from './passed-over.js';
import type { ReportStep } from './sft.js';
import { mean, statistics } from './statistics.js';
import { trainRows } from './train-rows.js';
import { objectiveOf, UpdateOptions } from './update-options.js';

/** How a kind of policy turns an objective into its training graph. */
export type GraphOf<Graph> = (objective: Objective) => Graph;

/**
 * One optimizer step, or several, for every `groupsPerStep` groups; rows go on with the last `step` that took them in, those that no step takes
 * marked, marked rows at once.
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

  let passedOver = 0;

  const stepOn = async (batch: readonly TrainRow[], rows: readonly T[], leftOut: Readonly<Record<string, number>>, leaving: readonly T[]): Promise<number> => {
    const step = policy.version + 1;
    const { gradient, metrics } = await policy.gradient(graph, batch, temperature);
    finiteLoss(metrics);
    const settings = rate(step);
    const norm = await policy.step(gradient, settings);
    if (checked.reference && step % checked.reference.every === 0) await policy.mixReference(checked.reference.mix);
    const named = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`policy/${name}`, value]));
    const taken = { 'policy/gradientNorm': norm, 'policy/learningRate': settings.learningRate, ...staleness(rows, step - 1), ...leftOut };
    report(step, { ...statistics(rows), 'group/flat': flat(rows), ...named, ...taken }, leaving);
    return step;
  };

  const learned = async (rows: readonly T[], leftOut: number, leaving: readonly T[]): Promise<number> => {
    finiteRows(rows);
    const prompts = await Promise.all(rows.map(async (row) => policy.encode(row, await pixelsOf(readImage, row))));
    const batch = trainRows(rows, prompts, objective, ({ finish }) => checked.truncated === 'learn' || finish === 'stop');
    const scored = await withScores(policy, batch, objective, temperature);
    let counts = { 'policy/leftOut': leftOut, 'group/leftOut': passedOver };
    let step = 0;
    for (let k = 1; k <= checked.updatesPerBatch; k++) {
      step = await stepOn(scored, rows, counts, k === checked.updatesPerBatch ? leaving : []);
      passedOver -= counts['group/leftOut'];
      counts = { 'policy/leftOut': 0, 'group/leftOut': 0 };
    }
    return step;
  };

  const taken = async (rows: readonly T[], leftOut: number): Promise<(T & Updated)[]> => {
    const marked = rows.map((row) => chosen(row, policy.version, checked));
    const fit = marked.filter(({ skipped }) => skipped === undefined);
    passedOver += marked.length - fit.length;
    const step = fit.length > 0 ? await learned(fit, leftOut, marked) : NaN;
    // Marked rows lack the step that was taken without them, which the types leave unsaid.
    return marked.map((row) => (row.skipped ? (row as T & Updated) : { ...row, step }));
  };

  const steps = inSteps(checked.groupsPerStep, leavingOut('update', taken));
  if (checked.refill === undefined) return steps;
  return pipe(refilled<T>(checked.groupsPerStep, checked.refill, () => passedOver++), steps);
}

/** Optimizer steps between the writing of the answers and the step that learns from them. */
function staleness(rows: readonly Advantaged[], version: number): Record<string, number> {
  const ages = rows.map(({ policyVersion }) => version - policyVersion);
  return { 'policy/staleness': mean(ages), 'policy/stalenessMax': Math.max(...ages) };
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
  return mean(rows.map((row) => (isFlat(row) ? 1 : 0)));
}
