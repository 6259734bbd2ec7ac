import { Subject } from 'rxjs';

import { shortPath, UsageError } from '../../errors.js';
import { fittingStem } from '../../io/file-name.js';
import { resolvedYaml, type Pipeline } from '../config/read.js';
import type { GainEvent, Summary } from '../events.js';
import { readEvaluation, readFinished, writeFinished, writeGain } from '../store/artifacts.js';
import { inputsOf, writeInputs } from '../store/inputs.js';
import { lockRun } from '../store/lock.js';
import { RunFolder } from '../store/run-folder.js';
import { evaluate, evaluateOnce, evaluationBetweenSteps, gains, withCheckpoint } from './evaluation.js';
import { execute, type ExecuteOptions } from './execute.js';
import { learns, resumption, runToResume, type Resumed } from './resume.js';
import { dropAside } from './row-cache.js';

export interface RunOptions extends Omit<ExecuteOptions, 'from' | 'kept' | 'lost'> {
  /** The run's folder, new or empty; by default one in `runs`. */
  readonly folder?: string;
  /**
   * Resumes the run in `folder`, by default the newest of the pipeline's: at its newest checkpoint, or the one named,
   * as in `step-20`; without one, from its beginning, reusing the rows that it wrote.
   */
  readonly resume?: true | string;
}

/**
 * Runs a checked pipeline to its end, with the evaluations that it names: before the first step, after the last, and at
 * the set interval in between.
 *
 * The evaluations are in the run's folder, as `RunFolder` names them. The first and the last open their own policy,
 * those in between use the run's. Interrupted, or without a step, there is no last one; an evaluation after the last
 * step is not repeated. Where no stage learns, a run that has finished is not run again.
 *
 * @returns the summary; `watch` is notified of it too, before a failure is thrown.
 * @throws {UsageError} if the folder is in use, or a run that is to resume is another's; what a stage threw; DataError
 * over the tolerance; Error where a row got lost.
 */
export async function run(pipeline: Pipeline, { folder, resume, ...rest }: RunOptions = {}): Promise<Summary> {
  const [unchecked] = pipeline.unchecked;
  if (unchecked !== undefined)
    throw new UsageError(
      `${shortPath(unchecked)}  run: expected a pipeline whose modules were run; got one that was only looked at`,
    );
  const own = resume === undefined ? newFolder(pipeline, folder) : runToResume(pipeline, folder);
  const lost = new Subject<never>();
  const release = lockRun(own.root, (fault) => lost.error(fault));
  try {
    const known = resume === undefined ? undefined : readFinished(own);
    if (known) return reportFinished(known, own, rest);
    const begun =
      resume === undefined
        ? await begin(pipeline, own)
        : await resumption(pipeline, own, resume === true ? undefined : resume, (text) =>
            rest.watch?.({ kind: 'notice', text }),
          );
    const summary = await trainAndEvaluate(pipeline, begun, { ...rest, lost });
    if (learns(pipeline) || summary.stopped !== undefined) return summary;
    await dropAside(own);
    await writeFinished(own, summary);
    return summary;
  } finally {
    release();
  }
}

async function begin(pipeline: Pipeline, folder: RunFolder): Promise<Resumed> {
  const inputs = await inputsOf(pipeline);
  folder.begin(resolvedYaml(pipeline));
  await writeInputs(folder, inputs);
  return { folder };
}

/** The given folder; by default in `runs` the pipeline's `run:`, or its name and the time. */
function newFolder({ name, settings }: Pipeline, folder: string | undefined): RunFolder {
  if (folder !== undefined) return new RunFolder(folder);
  const time = new Date().toISOString().slice(0, 19).replaceAll(/[-:]/g, '').replace('T', '-');
  return RunFolder.inRuns(settings.run ?? `${fittingStem(name, `-${time}`)}-${time}`);
}

function reportFinished(known: Summary, { root }: RunFolder, { watch = () => {} }: ExecuteOptions): Summary {
  const summary = { ...known, folder: root };
  watch({
    kind: 'notice',
    text: `${shortPath(root)}  resume: the run has come to its end; nothing of it is run again`,
  });
  watch({ kind: 'end', summary });
  return summary;
}

async function trainAndEvaluate(
  pipeline: Pipeline,
  { folder, ...resumed }: Resumed,
  rest: ExecuteOptions,
): Promise<Summary> {
  const options = { ...rest, ...resumed };
  const cacheable = pipeline.stages.flatMap(({ name, stage }) => (stage.cacheable ? [name] : []));
  if (resumed.kept && resumed.kept.size > 0 && cacheable.length > 0)
    rest.watch?.({
      kind: 'notice',
      text: `${shortPath(folder.root)}  resume: ${resumed.kept.size} rows keep what ${cacheable.join(', ')} added`,
    });
  const { evaluation } = pipeline;
  if (!evaluation) return execute(pipeline, folder, options);

  const before = await evaluateOnce(evaluation, folder.before, 'before', rest);
  const summary = await execute(pipeline, folder, {
    ...options,
    ...evaluationBetweenSteps(pipeline, evaluation, folder, rest),
  });
  const [last] = folder.checkpointSteps();
  if (!before || last === undefined || summary.stopped === 'cancelled') return summary;
  const trained = withCheckpoint(evaluation, folder.checkpoint(last));
  const after = readEvaluation(folder.evaluation(last)) ?? (await evaluate(trained, folder.after, 'after', rest));
  if (!after) return { ...summary, stopped: 'cancelled' };
  const gain: Omit<GainEvent, 'kind'> = {
    name: evaluation.name,
    before: before.tally,
    after: after.tally,
    gains: gains(before.rows, after.rows),
  };
  writeGain(folder, gain);
  rest.watch?.({ kind: 'gain', ...gain });
  return summary;
}
