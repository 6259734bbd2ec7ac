import { join, resolve } from 'node:path';

import { between, evaluated, evaluatedOnce, gains, learned } from './evaluation.js';
import { evaluationFolder } from '../store/evaluation-folders.js';
import { readFinished, writeFinished } from '../store/finished.js';
import { execute, type ExecuteOptions } from './execute.js';
import { defaultFolder, makeFolders } from '../store/run-folder.js';
import { dropAside } from './row-cache.js';
import { shortPath } from '../../errors.js';
import { lockRun } from '../store/lock.js';
import type { Pipeline } from '../config/read.js';
import type { GainEvent, Summary } from '../events.js';
import { learns, resumption, runToResume, type Resumed } from './resume.js';
import { checkpointFolder, checkpointSteps } from '../store/checkpoint-state.js';
import { readJudged, writeGain } from '../store/tally-files.js';

export interface RunOptions extends Omit<ExecuteOptions, 'from' | 'kept'> {
  /** The run's folder, new or empty; `runs/NAME` unless told. */
  readonly folder?: string;
  /**
   * Goes on with the run in `folder`, the newest of the pipeline's unless told: at its newest checkpoint, or the one
   * named, as in `step-20`; from its beginning where it has none, with the rows that it wrote.
   */
  readonly resume?: true | string;
}

/**
 * Runs a checked pipeline to its end; where it names another to evaluate with, that one before the first step, after
 * the last, and
 * every so many in between where it says so.
 *
 * The evaluations go to `before`, `after` and `evaluations/step-N` in the run's folder. The first two open and release
 * a policy of their
 * own, those in between use the run's. Interrupted, or without a step, there is nothing to come after; what was judged
 * behind the last
 * step is not judged again. Where no stage learns, a run that has come to its end is not run again.
 *
 * @returns what it came to; `watch` is told of it too, before a failure is thrown.
 * @throws {UsageError} if the folder is in use, or a run that is to go on is another's; what a stage threw; DataError
 * over the tolerance; Error where a row got lost.
 */
export async function run(pipeline: Pipeline, { folder, resume, ...rest }: RunOptions = {}): Promise<Summary> {
  const root = resume === undefined ? resolve(folder ?? defaultFolder(pipeline)) : runToResume(pipeline, folder);
  const release = lockRun(root);
  try {
    const known = resume === undefined ? undefined : readFinished(root);
    if (known) return toldAgain(known, root, rest);
    const summary = await ran(pipeline, await begun(pipeline, root, resume), rest);
    if (learns(pipeline) || summary.stopped !== undefined) return summary;
    await dropAside(root);
    await writeFinished(root, summary);
    return summary;
  } finally {
    release();
  }
}

function toldAgain(known: Summary, root: string, { watch = () => {} }: ExecuteOptions): Summary {
  const summary = { ...known, folder: root };
  watch({
    kind: 'notice',
    text: `${shortPath(root)}  resume: the run has come to its end; nothing of it is run again`,
  });
  watch({ kind: 'end', summary });
  return summary;
}

async function ran(pipeline: Pipeline, { folders, ...resumed }: Resumed, rest: ExecuteOptions): Promise<Summary> {
  const options = { ...rest, ...resumed };
  const cacheable = pipeline.stages.flatMap(({ name, stage }) => (stage.cacheable ? [name] : []));
  if (resumed.kept && resumed.kept.size > 0 && cacheable.length > 0)
    rest.watch?.({
      kind: 'notice',
      text: `${shortPath(folders.root)}  resume: ${resumed.kept.size} rows keep what ${cacheable.join(', ')} added`,
    });
  const { evaluation } = pipeline;
  if (!evaluation) return execute(pipeline, folders, options);

  const before = await evaluatedOnce(evaluation, join(folders.root, 'before'), 'before', rest);
  const summary = await execute(pipeline, folders, { ...options, ...between(pipeline, evaluation, folders, rest) });
  const [last] = checkpointSteps(folders.checkpoints);
  if (!before || last === undefined || summary.stopped === 'cancelled') return summary;
  const trained = learned(evaluation, checkpointFolder(folders.checkpoints, last));
  const after =
    readJudged(evaluationFolder(folders.root, last)) ??
    (await evaluated(trained, join(folders.root, 'after'), 'after', rest));
  if (!after) return { ...summary, stopped: 'cancelled' };
  const gain: Omit<GainEvent, 'kind'> = {
    name: evaluation.name,
    before: before.tally,
    after: after.tally,
    gains: gains(before.rows, after.rows),
  };
  writeGain(folders.root, gain);
  rest.watch?.({ kind: 'gain', ...gain });
  return summary;
}

async function begun(pipeline: Pipeline, root: string, resume: RunOptions['resume']): Promise<Resumed> {
  if (resume === undefined) return { folders: makeFolders(root, pipeline) };
  return resumption(pipeline, root, resume === true ? undefined : resume);
}
