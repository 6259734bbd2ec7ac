import { tap, type Observable } from 'rxjs';

import { DataError, messageOf } from '../errors.js';
import { imageReader } from '../io/reader.js';
import { bestConstant, type Constant } from '../operators/constants.js';
import type { Row, Skipped } from '../records.js';
import { writeSummary, type RunSummary } from '../report/summary-files.js';
import { writeBenchmark } from './benchmark-files.js';
import { compile } from './compile.js';
import { credits } from './credits.js';
import type { Gauge } from './gauge.js';
import { ledger, type Ledger } from './ledger.js';
import { opening } from './opening.js';
import { resolved, type Pipeline } from './read.js';
import type { Report, StartReport, Summary } from './report.js';
import { surroundings, type Folders } from './stage.js';
import { steps, thousandths } from './steps.js';

export interface FlowOptions {
  /** Optimizer steps after which the source is stopped. */
  readonly maxSteps?: number;
  /** Aborting it stops the source; what is in flight still goes to the end. */
  readonly signal?: AbortSignal;
  /** Told of everything as it happens. */
  readonly watch?: (report: Report) => void;
}

type Stopped = NonNullable<Summary['stopped']>;

/** Longest silence about queues while rows go by, ms. */
const QUEUE_EVERY = 1000;

/**
 * Lets the rows of a checked pipeline flow to their end: opens its models, and releases everything, also after a failure.
 *
 * @returns what it came to; `watch` is told of it too, before a failure is thrown.
 * @throws what a stage threw; DataError over the tolerance; Error where a row got lost.
 */
export async function flow(pipeline: Pipeline, folders: Folders, { maxSteps, signal, watch = () => {} }: FlowOptions = {}): Promise<Summary> {
  const stop = stopper(signal);
  const book = ledger();
  const log = steps(folders.metrics);
  const window = credits(pipeline.settings.window);
  let gauges: readonly Gauge[] = [];
  let baseline: Readonly<Record<string, number>> = {};
  let came: RunSummary = {};
  const report = (event: Report): void => {
    if (event.kind === 'baseline') baseline = baselineOf(event.constants);
    if (event.kind === 'tally' || event.kind === 'scores') {
      came = { ...came, ...event };
      writeSummary(folders.root, pipeline.name, came);
      return watch({ ...event, name: pipeline.name });
    }
    if (event.kind === 'benchmark') {
      writeBenchmark(folders.root, pipeline.name, event.result);
      return watch({ ...event, name: pipeline.name });
    }
    if (event.kind !== 'step') return watch(event);
    watch(log.take({ ...event, metrics: { ...event.metrics, ...baseline } }, gauges));
    if (maxSteps !== undefined && log.count >= maxSteps) stop.because('steps');
  };
  const around = surroundings(pipeline.settings, pipeline.stages);
  const config = JSON.stringify({ name: pipeline.name, ...resolved(pipeline) });
  const open = opening({ ...around, config, folders, signal: stop.signal, credits: window, read: imageReader(), report });

  let fault: unknown;
  let began = performance.now();
  try {
    const compiled = await compile(pipeline, open, (row) => book.enter(row));
    gauges = compiled.gauges;
    began = performance.now();
    watch(startOf(pipeline, folders.root, gauges, maxSteps));
    const left = arrivals(pipeline, book, stop, watch, () => gauges);
    await drained(compiled.rows.pipe(tap(left.take), tap(({ id }) => window.give(id))), () => stalled(gauges, pipeline.settings.window));
    fault = left.fault() ?? lost(book, gauges);
  } catch (error) {
    fault = error ?? new Error('the run failed without saying why');
  }
  await open.release().catch((error: unknown) => (fault ??= error));
  await log.close().catch((error: unknown) => (fault ??= error));
  stop.release();

  const summary = summed(pipeline, folders.root, book, gauges, { steps: log.count, elapsed: (performance.now() - began) / 1000, stopped: stop.reason(), fault });
  watch({ kind: 'end', summary });
  if (fault !== undefined) throw fault;
  return summary;
}

/** What looking at nothing earns, for every step's metrics. */
function baselineOf(constants: readonly Constant[]): Record<string, number> {
  const best = bestConstant(constants);
  return best ? { 'baseline/constant': best.reward.mean } : {};
}

/** One signal for every reason to stop the source; the first reason stays. */
function stopper(outer?: AbortSignal): { signal: AbortSignal; because(reason: Stopped): void; reason(): Stopped | undefined; release(): void } {
  const controller = new AbortController();
  let first: Stopped | undefined;
  const because = (reason: Stopped): void => {
    first ??= reason;
    // A stage that tells of a step must not see its source end in the middle of that call.
    queueMicrotask(() => controller.abort());
  };
  const cancel = (): void => because('cancelled');
  if (outer?.aborted) cancel();
  outer?.addEventListener('abort', cancel);
  return { signal: controller.signal, because, reason: () => first, release: () => outer?.removeEventListener('abort', cancel) };
}

/** Books rows as they leave, tells of them, and stops the source once too many were marked for a fault of theirs. */
function arrivals(pipeline: Pipeline, book: Ledger, stop: { because(reason: Stopped): void }, watch: (report: Report) => void, gauges: () => readonly Gauge[]) {
  const chosen = ({ stage: name, reason }: Skipped): boolean => pipeline.stages.find((one) => one.name === name)?.stage.chooses?.(reason) ?? false;
  const { tolerate } = pipeline.settings;
  let faults = 0;
  let fault: DataError | undefined;
  let told = performance.now();
  const take = (row: Row): void => {
    book.leave(row);
    watch({ kind: 'row', id: row.id, rowsIn: book.rowsIn, rowsOut: book.rowsOut, marked: book.marks, ...(row.skipped && { skipped: row.skipped }) });
    if (row.skipped && !chosen(row.skipped) && ++faults > tolerate && !fault) {
      const more = `expected at most ${tolerate} rows that cannot be used; got one more (${row.skipped.reason}); way out: tolerate: ${tolerate + 1}`;
      fault = new DataError(`${row.id}  ${whereFrom(row)}  ${row.skipped.stage}: ${more}`);
      stop.because('faults');
    }
    if (performance.now() - told < QUEUE_EVERY) return;
    told = performance.now();
    watch({ kind: 'queue', tokens: book.tokens, depths: Object.fromEntries(gauges().map((gauge) => [gauge.stage, gauge.rowsIn - gauge.rowsOut])) });
  };
  return { take, fault: () => fault };
}

/** Subscribes and waits for the end; a process with nothing left to do and no end reached is a stall. */
function drained(rows: Observable<Row>, stall: () => Error): Promise<void> {
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
    const subscription = rows.subscribe({ error: (error: unknown) => over(() => reject(error as Error)), complete: () => over(resolve) });
  });
}

function stalled(gauges: readonly Gauge[], window: number): Error {
  const keeping = gauges.filter(({ rowsIn, rowsOut }) => rowsIn !== rowsOut).map(({ stage, rowsIn, rowsOut }) => `${stage} took ${rowsIn} and gave ${rowsOut}`);
  const got = `nothing running, with a window of ${window}: ${keeping.join(', ') || 'the source gave no row'}`;
  return new Error(`rows: expected them to go on; got ${got}; way out: a stage gives every row that it took, marked where need be`);
}

function lost(book: Ledger, gauges: readonly Gauge[]): Error | undefined {
  const missing = book.missing(gauges);
  return missing === undefined ? undefined : new Error(missing);
}

function whereFrom({ image }: Row): string {
  return 'path' in image ? image.path : `scene ${image.scene.kind}/${image.scene.seed}/${image.scene.index}`;
}

function startOf({ name, stages }: Pipeline, folder: string, gauges: readonly Gauge[], maxSteps: number | undefined): StartReport {
  const [source] = stages;
  const rows = source?.stage.rows?.(source.options);
  return { kind: 'start', name, folder, stages: gauges.map(({ stage }) => stage), ...(rows !== undefined && { rows }), ...(maxSteps !== undefined && { maxSteps }) };
}

function summed(
  { name }: Pipeline,
  folder: string,
  { rowsIn, rowsOut, marked, tokens }: Ledger,
  gauges: readonly Gauge[],
  { steps: count, elapsed, stopped, fault }: { steps: number; elapsed: number; stopped: Stopped | undefined; fault: unknown },
): Summary {
  const seconds = Object.fromEntries(gauges.map((gauge) => [gauge.stage, thousandths(gauge.busy())]));
  const end = { ...(stopped && { stopped }), ...(fault !== undefined && { fault: messageOf(fault) }) };
  return { name, folder, rowsIn, rowsOut, marked, steps: count, tokens, seconds, elapsed: thousandths(elapsed), ...end };
}
