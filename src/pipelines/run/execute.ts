import { takeUntil, tap } from 'rxjs';

import { messageOf } from '../../errors.js';
import { imageReader } from '../../io/reader.js';
import { bestConstant, type Constant } from '../../operators/scoring/constants.js';
import { writeSummary, type RunSummary } from '../../report/summary-files.js';
import { arrivals } from './arrivals.js';
import { writeBenchmark } from '../store/benchmark-files.js';
import { checkpoints, type Checkpoints } from './checkpointer.js';
import { clock, type Clock } from './clock.js';
import { compile } from './compile.js';
import { credits } from '../../streams/credits.js';
import { runToCompletion, stalled } from './drained.js';
import { evaluationMetrics } from '../store/evaluation-folders.js';
import type { StageMetrics } from './stage-metrics.js';
import type { RowCache } from './row-cache.js';
import { ledger, type Ledger } from './row-ledger.js';
import { noticesOf } from '../config/notices.js';
import { openResources, type SharedModels } from './resources.js';
import { resolved, type Pipeline } from '../config/read.js';
import type { StartEvent, StepEvent, Summary, RunListener } from '../events.js';
import type { RunState, Saved } from '../store/checkpoint-state.js';
import { pipelineContext, type Folders } from '../stage.js';
import { steps, type Steps } from './step-log.js';
import { cancellation, type Stopped, type Cancellation } from './cancellation.js';

export interface ExecuteOptions {
  /** Optimizer steps after which the run ends, those of an earlier one that it goes on with included. */
  readonly maxSteps?: number;
  /**
   * Aborting it ends a run that learns with the step it is at; of others the source, and what is in flight still goes
   * to the end.
   */
  readonly signal?: AbortSignal;
  /** The checkpoint from which the run goes on. */
  readonly from?: Saved;
  /** What was written of rows before, where the run is begun again. */
  readonly kept?: RowCache;
  /** Told of everything as it happens. */
  readonly watch?: RunListener;
  /** Models of another run, to be used as they are. */
  readonly shared?: SharedModels;
  /** Has the policy judged behind a step, every so many, with the run's own models. */
  readonly evaluation?: {
    readonly every: number;
    readonly judge: (step: number, models: Required<SharedModels>) => Promise<unknown>;
  };
}

/**
 * Lets the rows of a checked pipeline flow to their end: opens its models, and releases everything, also after a
 * failure.
 *
 * @returns what it came to; `watch` is told of it too, before a failure is thrown.
 * @throws what a stage threw; DataError over the tolerance; Error where a row got lost.
 */
export async function execute(
  pipeline: Pipeline,
  folders: Folders,
  { maxSteps, signal, from, kept, watch = () => {}, shared, evaluation }: ExecuteOptions = {},
): Promise<Summary> {
  const { settings } = pipeline;
  const before = from?.state;
  const stop = cancellation(() => saving.learns, signal);
  const book = ledger(before?.rows);
  const log = await steps(folders.metrics, before?.step);
  const time = clock(before);
  const window = credits(settings.window);
  const judge = async (step: number): Promise<void> => {
    if (signal?.aborted) return;
    await evaluation?.judge(step, open);
    await amended(step, evaluationMetrics(folders.root, step), log, watch);
  };
  const judging = evaluation && { evaluation: { every: evaluation.every, judge } };
  const saving = checkpoints({
    folders,
    options: settings.checkpoints,
    book,
    from,
    ending: () => stop.ends(),
    spent: () => time.spent(),
    told: (step, folder) => watch({ kind: 'checkpoint', step, folder }),
    ...judging,
  });
  saving.forStages.beforeCheckpoint(() => log.flush());
  const left = arrivals(pipeline, book, stop, saving, time, watch);
  const report = reporting(pipeline, folders, stepping(log, time, stop, saving, maxSteps, watch), watch);
  const done = maxSteps !== undefined && (before?.step ?? 0) >= maxSteps;
  if (done && !saving.owes) stop.because('steps');
  const open = openResources(
    {
      ...opened(pipeline, before),
      ...saving.forStages,
      folders,
      signal: stop.signal,
      credits: window,
      read: imageReader(),
      emit: report,
    },
    shared,
  );

  let fault: unknown;
  let cutOff = false;
  try {
    const compiled = await compile(pipeline, open, (row) => (book.enter(row), saving.entered(row.id)), kept);
    time.start(compiled.gauges);
    for (const text of await noticesOf(pipeline)) watch({ kind: 'notice', text });
    watch(startOf(pipeline, folders.root, compiled.gauges, maxSteps, before));
    const rows = compiled.rows.pipe(
      tap(left.take),
      tap(({ id }) => window.give(id)),
      takeUntil(saving.over.pipe(tap(() => (cutOff = true)))),
    );
    if (done) stop.because('steps');
    if (saving.owes) await saving.makeUp();
    cutOff = saving.owes && stop.ends();
    if (!cutOff) await runToCompletion(rows, () => stalled(time.gauges, settings.window));
    if (!cutOff) fault = left.fault() ?? lost(book, time.gauges);
    if (!cutOff && fault === undefined) await saving.last();
  } catch (error) {
    fault = error ?? new Error('the run failed without saying why');
  }
  await open.release().catch((error: unknown) => (fault ??= error));
  await log.flush().catch((error: unknown) => (fault ??= error));
  stop.release();

  const summary = summed(pipeline, folders.root, book, {
    steps: log.count,
    ...time.spent(),
    stopped: stop.reason(),
    fault,
  });
  watch({ kind: 'end', summary });
  if (fault !== undefined) throw fault;
  return summary;
}

/** What has to be done once a step was taken, in this order. */
function stepping(
  log: Steps,
  time: Clock,
  stop: Cancellation,
  saving: Checkpoints,
  maxSteps: number | undefined,
  watch: RunListener,
): (step: StepEvent) => void {
  return (event) => {
    const { rows: _, ...step } = event;
    watch(log.take(step, time.gauges, time.elapsed()));
    if (maxSteps !== undefined && event.step >= maxSteps) stop.because('steps');
    stop.stepped();
    saving.stepped(event);
  };
}

/** Adds what an evaluation came to, if it came to its end, to the step that it was behind. */
async function amended(
  step: number,
  metrics: StepEvent['metrics'] | undefined,
  log: Steps,
  watch: RunListener,
): Promise<void> {
  if (!metrics) return;
  await log.amend(metrics);
  watch({ kind: 'evaluated', step, metrics });
}

/** Puts what stages report where it belongs. */
function reporting(
  { name }: Pipeline,
  folders: Folders,
  stepped: (step: StepEvent) => void,
  watch: RunListener,
): RunListener {
  let baseline: Readonly<Record<string, number>> = {};
  let came: RunSummary = {};
  return (event) => {
    if (event.kind === 'baseline') baseline = baselineOf(event.constants);
    if (event.kind === 'step') return stepped({ ...event, metrics: { ...event.metrics, ...baseline } });
    if (event.kind === 'tally' || event.kind === 'scores') {
      came = { ...came, ...event };
      writeSummary(folders.root, name, came);
      return watch({ ...event, name });
    }
    if (event.kind !== 'benchmark') return watch(event);
    writeBenchmark(folders.root, name, event.result);
    watch({ ...event, name });
  };
}

/** What stages may know before anything is opened. */
function opened(pipeline: Pipeline, before: RunState | undefined) {
  const { given, again } = before?.source ?? { given: 0, again: [] };
  const resumed = before && { given, again: new Set(again), rowsOut: before.rows.rowsOut };
  return {
    ...pipelineContext(pipeline.settings, pipeline.stages),
    config: JSON.stringify({ name: pipeline.name, ...resolved(pipeline) }),
    ...(resumed && { resumed }),
  };
}

/** What looking at nothing earns, for every step's metrics. */
function baselineOf(constants: readonly Constant[]): Record<string, number> {
  const best = bestConstant(constants);
  return best ? { 'baseline/constant': best.reward.mean } : {};
}

function lost(book: Ledger, gauges: readonly StageMetrics[]): Error | undefined {
  const missing = book.missing(gauges);
  return missing === undefined ? undefined : new Error(missing);
}

function startOf(
  { name, stages }: Pipeline,
  folder: string,
  gauges: readonly StageMetrics[],
  maxSteps: number | undefined,
  before: RunState | undefined,
): StartEvent {
  const [source] = stages;
  const rows = source?.stage.rows?.(source.options);
  return {
    kind: 'start',
    name,
    folder,
    stages: gauges.map(({ stage }) => stage),
    ...(rows !== undefined && { rows }),
    ...(maxSteps !== undefined && { maxSteps }),
    ...(before && { resumed: before.step }),
  };
}

function summed(
  { name }: Pipeline,
  folder: string,
  { rowsIn, rowsOut, marked, tokens }: Ledger,
  {
    steps: count,
    elapsed,
    seconds,
    stopped,
    fault,
  }: ReturnType<Clock['spent']> & { steps: number; stopped: Stopped | undefined; fault: unknown },
): Summary {
  const end = { ...(stopped && { stopped }), ...(fault !== undefined && { fault: messageOf(fault) }) };
  return { name, folder, rowsIn, rowsOut, marked, steps: count, tokens, seconds, elapsed, ...end };
}
