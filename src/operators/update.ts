import { pipe, type OperatorFunction } from 'rxjs';

import type { Policy, TrainRow } from '../models/policy.js';
import type { ReadImage } from '../models/segmenter.js';
import type { Objective } from '../objectives/objective.js';
import { openObjective } from '../objectives/spec.js';
import type { Advantaged, Updated } from '../records.js';
import { pixelsOf } from './faults.js';
import { finiteLoss, finiteRows, furtherStep, skippingSteps } from './training/finite.js';
import { batchSteps } from './training/batch-steps.js';
import { scheduleOf } from './training/schedule.js';
import { markFiltered, refilled } from './training/dynamic-sampling.js';
import type { ReportStep } from './sft.js';
import { mean } from './scoring/statistics.js';
import { addTokens, graphMetrics, NO_TOKENS, stepStatistics, stepTaken, tokensOf } from './training/step-metrics.js';
import { drawn, temperatureOf, UNSAID_TEMPERATURE } from './training/temperature.js';
import { trainRows } from './training/train-rows.js';
import { objectiveSpec, UpdateOptions } from './training/update-options.js';

/** What an update works with. */
export interface UpdateContext {
  readonly policy: Policy;
  readonly readImage: ReadImage;
  /** Sampling temperature of rows without `sampling`; default 1. */
  readonly temperature?: number;
  readonly report: ReportStep;
  /** Awaited before the weights change. */
  readonly ready?: (() => Promise<void>) | undefined;
}

/**
 * One optimizer step, or several, for every `groupsPerStep` groups. Rows leave with the last `step` that used them, or
 * marked if none did; marked rows pass at once. Log-probs are recomputed at the rows' sampling temperature, which must
 * be the same for a whole step.
 *
 * @throws {UsageError} if a temperature is 0, or a custom objective gives no loss.
 */
export function update<T extends Advantaged>(
  { policy, readImage, temperature: unsaid = UNSAID_TEMPERATURE, report, ready }: UpdateContext,
  options: UpdateOptions = {},
): OperatorFunction<T, T & Updated> {
  const checked = UpdateOptions.parse(options);
  drawn(unsaid);
  const spec = objectiveSpec(checked);
  const opened = openObjective(spec);
  // If it cannot be opened, the first step fails.
  opened.catch(() => {});
  const rate = scheduleOf(checked);

  let since = NOTHING;
  const came = (row: T): void => void (since = { ...since, tokens: addTokens(since.tokens, tokensOf(row)) });
  const passed = (groups: number): void => void (since = { ...since, groups: since.groups + groups });

  const stepOn = async (
    batch: readonly TrainRow[],
    rows: readonly T[],
    leftOut: number,
    leaving: readonly T[],
  ): Promise<number> => {
    const step = policy.version + 1;
    const { gradient, metrics } = await policy.gradient({
      loss: { objective: spec },
      rows: batch,
      temperature: temperatureOf(rows, unsaid),
    });
    finiteLoss(metrics);
    const settings = rate(step);
    await ready?.();
    const norm = await policy.step(gradient, settings);
    if (checked.reference && step % checked.reference.every === 0) await policy.mixReference(checked.reference.mix);
    const { groups, tokens } = since;
    since = NOTHING;
    const taken = { ...stepTaken(norm, settings, leftOut), 'left_out/groups': groups, ...staleness(rows, step - 1) };
    report(step, { ...stepStatistics(rows), ...graphMetrics(metrics), ...taken }, leaving, tokens);
    return step;
  };

  const learned = async (rows: readonly T[], leftOut: number, leaving: readonly T[]): Promise<number> => {
    finiteRows(rows);
    const prompts = await Promise.all(rows.map(async (row) => policy.encode(row, await pixelsOf(readImage, row))));
    const objective = await opened;
    const batch = trainRows(
      rows,
      prompts,
      objective,
      ({ finish }) => checked.truncated === 'learn' || finish === 'stop',
    );
    const scored = await withScores(policy, batch, objective, temperatureOf(rows, unsaid));
    let step = 0;
    for (let k = 1; k <= checked.updatesPerBatch; k++)
      step = await furtherStep(k - 1, () =>
        stepOn(scored, rows, k === 1 ? leftOut : 0, k === checked.updatesPerBatch ? leaving : []),
      );
    return step;
  };

  const taken = async (rows: readonly T[], leftOut: number): Promise<(T & Updated)[]> => {
    for (const row of rows) came(row);
    const marked = rows.map((row) => markFiltered(row, policy.version, checked));
    const fit = marked.filter(({ skipped }) => skipped === undefined);
    passed(marked.length - fit.length);
    const step = fit.length > 0 ? await learned(fit, leftOut, marked) : NaN;
    // Marked rows lack the step that the types promise.
    return marked.map((row) => (row.skipped ? (row as T & Updated) : { ...row, step }));
  };

  const steps = batchSteps(checked.groupsPerStep, skippingSteps('update', taken));
  if (checked.dynamicSampling === undefined) return steps;
  return pipe(
    refilled<T>(checked.groupsPerStep, checked.dynamicSampling, (row) => (came(row), passed(1))),
    steps,
  );
}

/** Filtered groups and tokens since the step before. */
const NOTHING = { groups: 0, tokens: NO_TOKENS };

/** Optimizer steps between the writing of completions and the step that learns from them. */
function staleness(rows: readonly Advantaged[], version: number): Record<string, number> {
  const ages = rows.map(({ policyVersion }) => version - policyVersion);
  return { 'staleness/mean': mean(ages), 'staleness/max': Math.max(...ages) };
}

/** Adds the objective's other log-probs: the reference's, and, for `correction`, the trainer's before the step. */
async function withScores(
  policy: Policy,
  batch: readonly TrainRow[],
  { kl, corrects }: Objective,
  temperature: number,
): Promise<readonly TrainRow[]> {
  const reference = kl > 0 ? await policy.referenceScores({ rows: batch, temperature }) : undefined;
  const own = corrects ? await policy.scores({ rows: batch, temperature }) : undefined;
  return batch.map((row, i) => ({
    ...row,
    perToken: {
      ...row.perToken,
      ...(reference ? { refLogProbs: reference[i] ?? [] } : {}),
      ...(own ? { oldLogProbs: own[i] ?? [], samplerLogProbs: row.perToken['oldLogProbs'] ?? [] } : {}),
    },
  }));
}
