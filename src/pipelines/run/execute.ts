import { NEVER, takeUntil, tap, type Observable } from 'rxjs';

import { defined } from '../../defined.js';
import { DataError, messageOf } from '../../errors.js';
import { imageReader } from '../../io/reader.js';
import type { Row, Skipped } from '../../records.js';
import { credits } from '../../streams/credits.js';
import { noticesOf } from '../config/notices.js';
import { resolved, type Pipeline } from '../config/read.js';
import type { RunListener, StartEvent, StepEvent, Summary } from '../events.js';
import { pipelineContext } from '../stage.js';
import { evaluationMetrics } from '../store/artifacts.js';
import type { RunState, Saved } from '../store/checkpoint-state.js';
import type { RunFolder } from '../store/run-folder.js';
import { cancellation, type Cancellation } from './cancellation.js';
import { checkpointWriter } from './checkpoint-writer.js';
import { Checkpointer, stageStates, Trainee } from './checkpointer.js';
import { compile } from './compile.js';
import { relay, resultsTo } from './stage-reports.js';
import { openResources, type SharedModels } from './resources.js';
import type { RowCache } from './row-cache.js';
import { rowTimings } from './row-timings.js';
import { RowTracker } from './row-tracker.js';
import { clock, depthsOf, type Clock, type StageMetrics } from './stage-metrics.js';
import { stepLog } from './step-log.js';

export interface ExecuteOptions {
  /** Optimizer steps after which the run ends, including those before it was resumed. */
  readonly maxSteps?: number;
  /**
   * Aborting it ends a training run with its current step, and any other at its source; rows in flight are finished.
   */
  readonly signal?: AbortSignal;
  /** The checkpoint from which the run resumes. */
  readonly from?: Saved;
  /** Rows that were written before, if the run is restarted. */
  readonly kept?: RowCache;
  /** Notified of everything as it happens. */
  readonly watch?: RunListener;
  /** Models of another run, to be used as they are. */
  readonly shared?: SharedModels;
  /** Fails once the folder is another program's. */
  readonly lost?: Observable<never>;
  /** Evaluates the policy after a step, at the set interval, with the run's own models. */
  readonly evaluation?: {
    readonly every: number;
    readonly evaluate: (step: number, models: Required<SharedModels>) => Promise<unknown>;
  };
}

/**
 * Lets the rows of a checked pipeline flow to their end: opens its models, and releases everything, also after a
 * failure.
 *
 * Each piece knows only those made before it; what stages report goes through a relay, whose listener comes last.
 *
 * @returns the summary; `watch` is notified of it too, before a failure is thrown.
 * @throws what a stage threw; DataError over the tolerance; Error where a row got lost.
 */
export async function execute(
  pipeline: Pipeline,
  folder: RunFolder,
  { maxSteps, signal, from, kept, watch = () => {}, shared, lost = NEVER, evaluation }: ExecuteOptions = {},
): Promise<Summary> {
  const { settings } = pipeline;
  const before = from?.state;

  // What counts and keeps.
  const tracker = new RowTracker(before);
  const log = await stepLog(folder, before?.step);
  const time = clock(before);
  const timings = rowTimings(folder.timings);
  const window = credits(settings.window);
  const states = stageStates(before?.memory);
  const writer = checkpointWriter(folder, settings.checkpoints);
  writer.before(() => log.flush());
  const trainee = new Trainee(from);

  // What ends a run, and what stages get.
  const stop = cancellation(() => trainee.policy !== undefined, signal);
  const reports = relay();
  const open = openResources(
    {
      ...knownBefore(pipeline, before),
      folder,
      signal: stop.signal,
      credits: window,
      read: imageReader({ cacheMegabytes: settings.imageCacheMegabytes }),
      keepState: (stage, keep) => states.keep(stage, keep),
      beforeCheckpoint: (job) => writer.before(job),
      emit: reports.emit,
    },
    trainee,
    shared,
  );

  // What happens between steps.
  const evaluate = async (step: number): Promise<void> => {
    if (signal?.aborted) return;
    await evaluation?.evaluate(step, open);
    const metrics = evaluationMetrics(folder, step);
    if (!metrics) return;
    await log.amend(metrics);
    watch({ kind: 'evaluated', step, metrics });
  };
  const checkpointer = new Checkpointer({
    folder,
    options: settings.checkpoints,
    tracker,
    trainee,
    states,
    writer,
    from,
    ending: () => stop.ends(),
    spent: () => time.spent(),
    written: (step, path) => watch({ kind: 'checkpoint', step, folder: path }),
    ...(evaluation && { evaluation: { every: evaluation.every, evaluate } }),
  });

  // Hooks after a step and a row.
  const stepped = (event: StepEvent): void => {
    const { rows: _, ...step } = event;
    watch(log.take(step, time.stages, time.elapsed()));
    if (maxSteps !== undefined && event.step >= maxSteps) stop.because('steps');
    stop.stepped();
    checkpointer.stepped(event);
  };
  reports.listen(resultsTo(folder, pipeline.name, { stepped, watch }));
  const rowDone = onRowDone(pipeline, { tracker, stop, time, watch });

  const done = maxSteps !== undefined && (before?.step ?? 0) >= maxSteps;
  const { owesEvaluation } = checkpointer;
  if (done && !owesEvaluation) stop.because('steps');

  let fault: unknown;
  let cutOff = false;
  try {
    const entered = (row: Row): void => {
      tracker.enter(row);
      writer.shown(row.frame);
    };
    const compiled = await compile(pipeline, open, entered, kept, timings);
    time.start(compiled.metrics);
    for (const text of await noticesOf(pipeline)) watch({ kind: 'notice', text });
    watch(startOf(pipeline, folder, { stages: compiled.metrics, maxSteps, resumed: before?.step }));
    const rows = compiled.rows.pipe(
      tap(rowDone.take),
      tap(({ id }) => timings.done(id)),
      tap(() => checkpointer.rowLeft()),
      tap(({ id }) => window.give(id)),
      takeUntil(checkpointer.over.pipe(tap(() => (cutOff = true)))),
      takeUntil(lost),
    );
    if (done) stop.because('steps');
    if (owesEvaluation) await checkpointer.makeUpEvaluation();
    cutOff = owesEvaluation && stop.ends();
    if (!cutOff) await runToCompletion(rows, () => stalled(time.stages, settings.window));
    if (!cutOff) fault = rowDone.fault() ?? missing(tracker, time.stages);
    if (!cutOff && fault === undefined) await checkpointer.finish();
  } catch (error) {
    fault = error ?? new Error('the run failed without saying why');
  }
  await open.release().catch((error: unknown) => (fault ??= error));
  await log.flush().catch((error: unknown) => (fault ??= error));
  stop.release();

  const { rowsIn, rowsOut, marked, unread, tokens } = tracker;
  const summary: Summary = {
    name: pipeline.name,
    folder: folder.root,
    rowsIn,
    rowsOut,
    marked,
    ...(Object.keys(unread).length > 0 && { unread }),
    steps: log.count,
    tokens,
    ...time.spent(),
    ...defined({ stopped: stop.reason(), fault: fault === undefined ? undefined : messageOf(fault) }),
  };
  watch({ kind: 'end', summary });
  if (fault !== undefined) throw fault;
  return summary;
}

/** What stages may know before anything is opened. */
function knownBefore(pipeline: Pipeline, before: RunState | undefined) {
  const resumed = before && {
    cursor: before.source.cursor,
    pending: new Set(before.source.pending),
    rowsOut: before.rows.rowsOut,
  };
  return {
    ...pipelineContext(pipeline.settings, pipeline.stages),
    config: JSON.stringify({ name: pipeline.name, ...resolved(pipeline) }),
    ...defined({ resumed }),
  };
}

function startOf(
  { name, stages: [source] }: Pipeline,
  folder: RunFolder,
  {
    stages,
    maxSteps,
    resumed,
  }: { stages: readonly StageMetrics[]; maxSteps: number | undefined; resumed: number | undefined },
): StartEvent {
  const rows = source?.stage.rows?.(source.options);
  return {
    kind: 'start',
    name,
    folder: folder.root,
    stages: stages.map(({ stage }) => stage),
    ...defined({ rows, maxSteps, resumed }),
  };
}

/** Longest time between queue reports while rows pass, ms. */
const QUEUE_EVERY = 1000;

/** Counts rows as they leave, reports them, and stops the source once too many had faulty data. */
function onRowDone(
  { stages, settings: { tolerate } }: Pipeline,
  { tracker, stop, time, watch }: { tracker: RowTracker; stop: Cancellation; time: Clock; watch: RunListener },
) {
  const filtered = ({ stage: name, reason }: Skipped): boolean =>
    stages.find((one) => one.name === name)?.stage.filters?.(reason) ?? false;
  let fault: DataError | undefined;
  let reported = performance.now();
  const take = (row: Row): void => {
    const { id, skipped } = row;
    tracker.leave(row);
    const { rowsIn, rowsOut, marks: marked, tokens } = tracker;
    watch({ kind: 'row', id, rowsIn, rowsOut, marked, ...defined({ skipped }) });
    if (skipped && !filtered(skipped) && tracker.countFault() > tolerate && !fault) {
      const more = `expected at most ${tolerate} rows that cannot be used; got one more (${skipped.reason}); way out: tolerate: ${tolerate + 1}`;
      fault = new DataError(`${id}  ${whereFrom(row)}  ${skipped.stage}: ${more}`);
      stop.because('faults');
    }
    if (performance.now() - reported < QUEUE_EVERY) return;
    reported = performance.now();
    watch({ kind: 'queue', tokens, depths: depthsOf(time.stages) });
  };
  return { take, fault: () => fault };
}

function whereFrom({ image }: Row): string {
  return 'path' in image ? image.path : `scene ${image.scene.kind}/${image.scene.seed}/${image.scene.index}`;
}

/** Subscribes and waits for the end; a process with nothing left to do and no end reached is a stall. */
function runToCompletion(rows: Observable<Row>, stall: () => Error): Promise<void> {
  return new Promise((resolve, reject) => {
    const idle = (): void => {
      subscription.unsubscribe();
      reject(stall());
    };
    process.once('beforeExit', idle);
    const over = (settle: () => void): void => {
      process.off('beforeExit', idle);
      settle();
    };
    const subscription = rows.subscribe({
      error: (error: unknown) => over(() => reject(error)),
      complete: () => over(resolve),
    });
  });
}

/** The message for rows that are stuck. */
function stalled(stages: readonly StageMetrics[], window: number): Error {
  const keeping = stages
    .filter(({ rowsIn, rowsOut }) => rowsIn !== rowsOut)
    .map(({ stage, rowsIn, rowsOut }) => `${stage} took ${rowsIn} and gave ${rowsOut}`);
  const got = `nothing running, with a window of ${window}: ${keeping.join(', ') || 'the source gave no row'}`;
  return new Error(
    `rows: expected them to go on; got ${got}; way out: a stage gives every row that it took, marked where need be`,
  );
}

function missing(tracker: RowTracker, stages: readonly StageMetrics[]): Error | undefined {
  const text = tracker.missing(stages);
  return text === undefined ? undefined : new Error(text);
}
