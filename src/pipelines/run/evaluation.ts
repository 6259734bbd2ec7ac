import { rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

import { defined } from '../../defined.js';
import { estimateOf, type Estimate } from '../../operators/scoring/estimate.js';
import type { Tally } from '../../operators/tally.js';
import { execute, type ExecuteOptions } from './execute.js';
import type { SharedModels } from './resources.js';
import { resolvedYaml, type Pipeline } from '../config/read.js';
import type { RunEvent, When } from '../events.js';
import { evaluateOf } from '../settings.js';
import { readEvaluation, writeEvaluation, type EvaluationResult, type Values } from '../store/artifacts.js';
import { stepName, type RunFolder } from '../store/run-folder.js';

/** Evaluations every so many steps: they use the current policy, and the run's segmenter if it is the same. */
export function evaluationBetweenSteps(
  { settings }: Pipeline,
  evaluation: Pipeline,
  folder: RunFolder,
  options: ExecuteOptions,
): Pick<ExecuteOptions, 'evaluation'> {
  const { every } = evaluateOf(settings) ?? {};
  if (every === undefined) return {};
  const alike = isDeepStrictEqual(settings.segmenter, evaluation.settings.segmenter);
  const evaluate = (step: number, { policy, segmenter }: Required<SharedModels>): Promise<unknown> =>
    evaluateOnce(withCheckpoint(evaluation, folder.checkpoint(step)), folder.evaluation(step), stepName(step), {
      ...options,
      shared: { policy, ...(alike && { segmenter }) },
    });
  return { evaluation: { every, evaluate } };
}

/** The same evaluation of a run's trained policy, as in its checkpoint. */
export function withCheckpoint(evaluation: Pipeline, checkpoint: string): Pipeline {
  const { settings } = evaluation;
  if (!settings.policy) return evaluation;
  const weights =
    settings.policy.train === 'full' ? { checkpoint } : { adapter: checkpoint, train: 'adapter' as const };
  return { ...evaluation, settings: { ...settings, policy: { ...settings.policy, ...weights } } };
}

/** Evaluates the policy before the first step or after one; a resumed run reuses the result. */
export async function evaluateOnce(
  pipeline: Pipeline,
  folder: RunFolder,
  when: When,
  options: ExecuteOptions,
): Promise<EvaluationResult | undefined> {
  const known = readEvaluation(folder);
  if (known) return known;
  const result = await evaluate(pipeline, folder, when, options);
  if (result) await writeEvaluation(folder, result);
  return result;
}

/** Runs an evaluation, again if it was incomplete; undefined if interrupted. */
export async function evaluate(
  pipeline: Pipeline,
  folder: RunFolder,
  when: When,
  { signal, watch = () => {}, shared }: ExecuteOptions,
): Promise<EvaluationResult | undefined> {
  const rows = new Map<string, Readonly<Record<string, number>>>();
  let tally: Tally | undefined;
  const listen = (report: RunEvent): void => {
    if (report.kind === 'counted') rows.set(report.id, report.values);
    if (report.kind === 'tally') tally = report.tally;
    watch({ kind: 'evaluation', when, report });
  };
  rmSync(folder.root, { recursive: true, force: true });
  const { stopped } = await execute(pipeline, folder.begin(resolvedYaml(pipeline)), {
    watch: listen,
    ...defined({ signal, shared }),
  });
  return tally && stopped === undefined ? { tally, rows } : undefined;
}

/** For each metric, the mean difference over rows that both have. */
export function gains(before: Values, after: Values): Record<string, Estimate> {
  const shared = [...before].flatMap(([id, was]) => {
    const is = after.get(id);
    return is ? [{ was, is }] : [];
  });
  const names = Object.keys(shared[0]?.is ?? {});
  return Object.fromEntries(
    names.map((name) => [name, estimateOf(shared.map(({ was, is }) => (is[name] ?? NaN) - (was[name] ?? NaN)))]),
  );
}
