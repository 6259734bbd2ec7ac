import { defer, tap, type Observable, type OperatorFunction } from 'rxjs';

import type { Row } from '../records.js';
import type { Credits } from './credits.js';

/** What was measured of one stage so far. */
export interface Gauge {
  readonly stage: string;
  rowsIn: number;
  rowsOut: number;
  /** Seconds with at least one row inside. */
  busy(): number;
}

/** A gauge, and what moves it. */
export interface Meter extends Gauge {
  enter(): void;
  leave(): void;
  /** Takes back an `enter`: no row came of it. */
  cancel(): void;
}

/** Starts measuring a stage. */
export function gauge(stage: string, now: () => number = () => performance.now()): Meter {
  let seconds = 0;
  let since = 0;
  const meter: Meter = {
    stage,
    rowsIn: 0,
    rowsOut: 0,
    busy: () => (meter.rowsIn > meter.rowsOut ? seconds + (now() - since) / 1000 : seconds),
    enter() {
      if (meter.rowsIn++ === meter.rowsOut) since = now();
    },
    leave() {
      if (++meter.rowsOut === meter.rowsIn) seconds += (now() - since) / 1000;
    },
    cancel() {
      if (--meter.rowsIn === meter.rowsOut) seconds += (now() - since) / 1000;
    },
  };
  return meter;
}

/** The same window for a source, which is busy from each credit it takes until the row comes, or the credit goes back. */
export function gaugedCredits(window: Credits, meter: Meter): Credits {
  return {
    get window() {
      return window.window;
    },
    get inFlight() {
      return window.inFlight;
    },
    get peak() {
      return window.peak;
    },
    async take(signal) {
      await window.take(signal);
      meter.enter();
    },
    give(rowId) {
      meter.cancel();
      window.give(rowId);
    },
  };
}

/** Rows of a source, counted as they come. */
export function gaugedSource(source: Observable<Row>, meter: Meter): Observable<Row> {
  return source.pipe(
    tap(() => {
      if (meter.rowsIn === meter.rowsOut) meter.enter();
      meter.leave();
    }),
  );
}

/** The same operator, with the rows that enter and leave it counted and timed; rows are not touched. */
export function gauged(operator: OperatorFunction<Row, Row>, meter: Meter): OperatorFunction<Row, Row> {
  return (source: Observable<Row>) =>
    defer(() =>
      source.pipe(
        tap(() => meter.enter()),
        operator,
        tap(() => meter.leave()),
      ),
    );
}
