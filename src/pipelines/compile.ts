import { fromEvent, isObservable, takeUntil, tap, type Observable, type OperatorFunction } from 'rxjs';

import { UsageError } from '../errors.js';
import type { Row } from '../records.js';
import { gauge, gauged, type Gauge } from './gauge.js';
import type { Pipeline } from './read.js';
import type { Open } from './stage.js';

/** A pipeline ready to be subscribed to, and what its stages measure while it runs. */
export interface Compiled {
  /** Rows as the last stage gives them; completes after `open.signal` is aborted and the rows in flight are through. */
  readonly rows: Observable<Row>;
  /** One a stage, in order. */
  readonly gauges: readonly Gauge[];
}

/**
 * Opens what the stages need, in their order, and pipes them into one stream; nothing is pulled before it is subscribed to.
 *
 * @param entered told of each row as the source gives it.
 */
export async function compile(pipeline: Pipeline, open: Open, entered: (row: Row) => void = () => {}): Promise<Compiled> {
  const labels = labelled(pipeline.stages.map(({ name }) => name));
  const gauges = labels.map((label) => gauge(label));
  let rows: Observable<Row> | undefined;
  for (const [index, { name, stage, options }] of pipeline.stages.entries()) {
    const meter = gauges[index] as ReturnType<typeof gauge>;
    const built = await stage.build(options, open);
    if (rows === undefined) {
      if (!isObservable(built)) throw new UsageError(`${name}: expected a stream of rows from build; got ${typeof built}; way out: kind: 'source' is for stages that give rows`);
      rows = stopped(built, open.signal).pipe(tap((row) => (meter.enter(), meter.leave(), entered(row))));
    } else {
      if (typeof built !== 'function') throw new UsageError(`${name}: expected an operator from build; got ${isObservable(built) ? 'a stream' : typeof built}`);
      rows = rows.pipe(gauged(built as OperatorFunction<Row, Row>, meter));
    }
  }
  return { rows: rows as Observable<Row>, gauges };
}

/** Ends a source at the signal, whatever it waits for; rows that it had not given yet never entered. */
function stopped(source: Observable<Row>, signal: AbortSignal): Observable<Row> {
  return signal.aborted ? source.pipe(takeUntil([0])) : source.pipe(takeUntil(fromEvent(signal, 'abort')));
}

/** Names told apart where one comes twice: `mask`, `mask 2`. */
function labelled(names: readonly string[]): string[] {
  return names.map((name, index) => {
    const before = names.slice(0, index).filter((other) => other === name).length;
    return before === 0 ? name : `${name} ${before + 1}`;
  });
}
