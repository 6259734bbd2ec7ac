import { rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

import { estimateOf, type Estimate } from '../../operators/scoring/estimate.js';
import type { Tally } from '../../operators/tally.js';
import { evaluationFolder } from '../store/evaluation-folders.js';
import { execute, type ExecuteOptions } from './execute.js';
import { makeFolders } from '../store/run-folder.js';
import type { SharedModels } from './resources.js';
import type { Pipeline } from '../config/read.js';
import type { RunEvent, When } from '../events.js';
import { checkpointFolder } from '../store/checkpoint-state.js';
import { evaluateOf } from '../settings.js';
import type { Folders } from '../stage.js';
import { readJudged, writeJudged, type Judged, type Values } from '../store/tally-files.js';

/**
 * Evaluations behind every so many steps: they use the policy as it is then, and the segmenter where it is the same.
 */
export function between(
  { settings }: Pipeline,
  evaluation: Pipeline,
  { root, checkpoints }: Folders,
  options: ExecuteOptions,
): Pick<ExecuteOptions, 'evaluation'> {
  const { every } = evaluateOf(settings) ?? {};
  if (every === undefined) return {};
  const alike = isDeepStrictEqual(settings.segmenter, evaluation.settings.segmenter);
  const judge = (step: number, { policy, segmenter }: Required<SharedModels>): Promise<unknown> =>
    evaluatedOnce(
      learned(evaluation, checkpointFolder(checkpoints, step)),
      evaluationFolder(root, step),
      `step-${step}`,
      { ...options, shared: { policy, ...(alike && { segmenter }) } },
    );
  return { evaluation: { every, judge } };
}

/** The same evaluation of what a run has learned, as its checkpoint has it or would have it. */
export function learned(evaluation: Pipeline, checkpoint: string): Pipeline {
  const { settings } = evaluation;
  if (!settings.policy) return evaluation;
  const weights =
    settings.policy.train === 'full' ? { checkpoint } : { adapter: checkpoint, train: 'adapter' as const };
  return { ...evaluation, settings: { ...settings, policy: { ...settings.policy, ...weights } } };
}

/** What the policy was worth before its first step or behind one; a run that goes on knows it already. */
export async function evaluatedOnce(
  pipeline: Pipeline,
  folder: string,
  when: When,
  options: ExecuteOptions,
): Promise<Judged | undefined> {
  const known = readJudged(folder);
  if (known) return known;
  const judged = await evaluated(pipeline, folder, when, options);
  if (judged) await writeJudged(folder, judged);
  return judged;
}

/** Runs an evaluation of its own, anew where one was broken off; undefined where it was interrupted. */
export async function evaluated(
  pipeline: Pipeline,
  folder: string,
  when: When,
  { signal, watch = () => {}, shared }: ExecuteOptions,
): Promise<Judged | undefined> {
  const rows = new Map<string, Readonly<Record<string, number>>>();
  let tally: Tally | undefined;
  const told = (report: RunEvent): void => {
    if (report.kind === 'counted') rows.set(report.id, report.values);
    if (report.kind === 'tally') tally = report.tally;
    watch({ kind: 'evaluation', when, report });
  };
  rmSync(folder, { recursive: true, force: true });
  const { stopped } = await execute(pipeline, makeFolders(folder, pipeline), {
    watch: told,
    ...(signal && { signal }),
    ...(shared && { shared }),
  });
  return tally && stopped === undefined ? { tally, rows } : undefined;
}

/** By metric, the mean difference of rows that both have. */
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
