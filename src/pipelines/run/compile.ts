import {
  catchError,
  defer,
  EMPTY,
  finalize,
  fromEvent,
  identity,
  isObservable,
  takeUntil,
  tap,
  throwError,
  type MonoTypeOperatorFunction,
  type Observable,
  type OperatorFunction,
} from 'rxjs';

import { DataError, messageOf, ModelError, shown, UsageError } from '../../errors.js';
import type { Row } from '../../records.js';
import { gate } from '../../streams/gate.js';
import { heldRows } from './held-rows.js';
import { stageMetrics, metered, meteredCredits, meteredSource, type StageMetrics } from './stage-metrics.js';
import { cached, type RowCache } from './row-cache.js';
import type { RowTimings } from './row-timings.js';
import type { Pipeline } from '../config/read.js';
import { columnsOf, pipelineContext, type Built, type StageContext } from '../stage.js';
import { stages as builtIn } from '../stages/table.js';

/** A pipeline ready to be subscribed to, and what its stages measure while it runs. */
export interface Compiled {
  /** Rows from the last stage; completes after `open.signal` is aborted and the rows in flight have left. */
  readonly rows: Observable<Row>;
  /** One a stage, in order. */
  readonly metrics: readonly StageMetrics[];
}

/**
 * Opens what the stages need, in their order, and pipes them into one stream; nothing is pulled before it is subscribed
 * to.
 *
 * @param entered called with each row of the source.
 * @param kept rows that `cacheable` stages reuse.
 * @param timings notified of each row that enters a stage after the source, or leaves it.
 */
export async function compile(
  pipeline: Pipeline,
  open: StageContext,
  entered: (row: Row) => void = () => {},
  kept?: RowCache,
  timings?: Pick<RowTimings, 'enter' | 'leave'>,
): Promise<Compiled> {
  const metrics = labelled(pipeline.stages.map(({ name }) => name)).map((label) => stageMetrics(label));
  const held = heldRows(pipeline.stages);
  const learning = steadyBefore(pipeline);
  const steps = gate(pipeline.settings.window);
  let rows: Observable<Row> = EMPTY;
  for (const [index, { name, stage, options }] of pipeline.stages.entries()) {
    if (open.signal.aborted) return { rows: EMPTY, metrics };
    const meter = metrics[index];
    const context = stage.updatesPolicy ? open : { ...open, trainable: () => Promise.reject(unchanged(name)) };
    const around = index === 0 ? { ...context, credits: meteredCredits(open.credits, meter) } : context;
    const built = await stage.build(options, index === learning ? { ...around, settled: steps.settled } : around);
    if (index === 0) {
      rows = ended(meteredSource(sourceOf(built, name), meter), open.signal).pipe(
        stage === builtIn.get(name) ? identity : blamed(name),
        tap({ next: steps.emitted, complete: steps.ended }),
        held[index],
        tap(entered),
      );
      continue;
    }
    if (index === learning) rows = rows.pipe(tap(steps.arrived));
    const own = operatorOf(built, name);
    const operator = stage === builtIn.get(name) ? own : blaming(name, own);
    rows = rows.pipe(
      metered(stage.cacheable && kept ? cached(operator, columnsOf(stage, options), kept) : operator, meter, timings),
      held[index],
    );
  }
  return { rows: rows.pipe(tap(steps.left), finalize(steps.open)), metrics };
}

/**
 * The stage that changes the policy, if rows come to it without waiting for a step: all stages before it are built in,
 * and none compares rows with others. -1 for none.
 */
function steadyBefore({ settings, stages: all }: Pipeline): number {
  const learning = all.findIndex(({ stage }) => stage.updatesPolicy);
  const before = all.slice(0, learning);
  const steady =
    before.every(({ name, stage }) => builtIn.get(name) === stage) &&
    pipelineContext(settings, before).fact('acrossRows') === undefined;
  return steady ? learning : -1;
}

function sourceOf(built: Built, name: string): Observable<Row> {
  if (isObservable(built)) return built;
  throw new UsageError(
    `${name}: expected a stream of rows from build; got a ${typeof built}; way out: kind: 'source' is for stages that give rows`,
  );
}

function operatorOf(built: Built, name: string): OperatorFunction<Row, Row> {
  // The columns of a row were checked by name when the pipeline was read.
  if (typeof built === 'function') return built as OperatorFunction<Row, Row>;
  throw new UsageError(
    `${name}: expected an operator from build; got ${isObservable(built) ? 'a stream' : typeof built}`,
  );
}

/** A custom operator whose own errors name its stage; those of stages before it pass. */
function blaming(name: string, operator: OperatorFunction<Row, Row>): OperatorFunction<Row, Row> {
  return (source) =>
    defer(() => {
      let came: { readonly error: unknown } | undefined;
      return source.pipe(
        tap({ error: (error: unknown) => (came = { error }) }),
        operator,
        catchError((error: unknown) => throwError(() => (came && came.error === error ? error : named(name, error)))),
      );
    });
}

const blamed = (name: string): MonoTypeOperatorFunction<Row> =>
  catchError((error: unknown) => throwError(() => named(name, error)));

/** An error that says what was expected, as it is; any other with the stage's name, and where it was thrown. */
function named(name: string, error: unknown): unknown {
  const says = [UsageError, DataError, ModelError, AggregateError].some((kind) => error instanceof kind);
  if (says || (error instanceof Error && / {2}.*: expected /.test(error.message))) return error;
  const at = error instanceof Error ? /\(?((?:file:)?\/[^()\n]*:\d+:\d+)\)?$/m.exec(error.stack ?? '')?.[1] : undefined;
  const what = error instanceof Error ? `${error.name} ${shown(messageOf(error))}` : `${shown(error)}, thrown`;
  return new Error(`${name}: expected rows; got ${what}${at === undefined ? '' : ` at ${at}`}`, { cause: error });
}

/** Without a stage that updates the policy, its weights are read-only. */
function unchanged(name: string): UsageError {
  return new UsageError(
    `${name}  trainable: expected a stage that says it changes the policy; got none; way out: updatesPolicy: true`,
  );
}

/** Ends a source at the signal, even while it waits; rows that it had not emitted never entered. */
function ended(source: Observable<Row>, signal: AbortSignal): Observable<Row> {
  return defer(() => (signal.aborted ? EMPTY : source.pipe(takeUntil(fromEvent(signal, 'abort')))));
}

/** Names, with repeated ones numbered: `mask`, `mask 2`. */
function labelled(names: readonly string[]): string[] {
  return names.map((name, index) => {
    const before = names.slice(0, index).filter((other) => other === name).length;
    return before === 0 ? name : `${name} ${before + 1}`;
  });
}
