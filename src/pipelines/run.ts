import { join, resolve } from 'node:path';

import { estimateOf, type Estimate } from '../operators/estimate.js';
import type { Tally } from '../operators/tally.js';
import { flow, type FlowOptions } from './flow.js';
import { defaultFolder, lastCheckpoint, makeFolders } from './folders.js';
import type { Pipeline } from './read.js';
import type { GainReport, Report, Summary } from './report.js';
import { writeGain } from './tally-files.js';

export interface RunOptions extends FlowOptions {
  /** The run's folder, new or empty; `runs/NAME` unless told. */
  readonly folder?: string;
}

/**
 * Runs a checked pipeline to its end; where it names another to evaluate with, that one before the first step and after the last.
 *
 * The evaluations go to `before` and `after` in the run's folder. Each opens and releases its own policy. Interrupted, or without
 * a step, there is nothing to come after.
 *
 * @returns what it came to; `watch` is told of it too, before a failure is thrown.
 * @throws {UsageError} if the folder is in use; what a stage threw; DataError over the tolerance; Error where a row got lost.
 */
export async function run(pipeline: Pipeline, { folder, ...options }: RunOptions = {}): Promise<Summary> {
  const folders = makeFolders(resolve(folder ?? defaultFolder(pipeline)), pipeline);
  const { evaluation } = pipeline;
  if (!evaluation) return flow(pipeline, folders, options);
  const { policy } = evaluation.settings;

  const before = await evaluated(evaluation, join(folders.root, 'before'), 'before', options);
  const summary = await flow(pipeline, folders, options);
  const checkpoint = lastCheckpoint(folders.checkpoints);
  if (!policy || !before || checkpoint === undefined || summary.stopped === 'cancelled') return summary;
  const learned = policy.train === 'full' ? { checkpoint } : { adapter: checkpoint, train: 'adapter' as const };
  const trained = { ...evaluation, settings: { ...evaluation.settings, policy: { ...policy, ...learned } } };
  const after = await evaluated(trained, join(folders.root, 'after'), 'after', options);
  if (!after) return { ...summary, stopped: 'cancelled' };
  const gain: Omit<GainReport, 'kind'> = { name: evaluation.name, before: before.tally, after: after.tally, gains: gains(before.rows, after.rows) };
  writeGain(folders.root, gain);
  options.watch?.({ kind: 'gain', ...gain });
  return summary;
}

type Values = ReadonlyMap<string, Readonly<Record<string, number>>>;

/** Runs an evaluation of its own; undefined where it was interrupted. */
async function evaluated(pipeline: Pipeline, folder: string, when: 'before' | 'after', { signal, watch = () => {} }: FlowOptions): Promise<{ tally: Tally; rows: Values } | undefined> {
  const rows = new Map<string, Readonly<Record<string, number>>>();
  let tally: Tally | undefined;
  const told = (report: Report): void => {
    if (report.kind === 'counted') rows.set(report.id, report.values);
    if (report.kind === 'tally') tally = report.tally;
    watch({ kind: 'evaluation', when, report });
  };
  const { stopped } = await flow(pipeline, makeFolders(folder, pipeline), { watch: told, ...(signal && { signal }) });
  return tally && stopped === undefined ? { tally, rows } : undefined;
}

/** By metric, the mean difference of rows that both have. */
export function gains(before: Values, after: Values): Record<string, Estimate> {
  const shared = [...before].flatMap(([id, was]) => {
    const is = after.get(id);
    return is ? [{ was, is }] : [];
  });
  const names = Object.keys(shared[0]?.is ?? {});
  return Object.fromEntries(names.map((name) => [name, estimateOf(shared.map(({ was, is }) => (is[name] ?? NaN) - (was[name] ?? NaN)))]));
}
