import { defer, tap, type Observable, type OperatorFunction } from 'rxjs';

import type { Row } from '../records.js';

/** What was measured of one stage so far. */
export interface Gauge {
  readonly stage: string;
  rowsIn: number;
  rowsOut: number;
  /** Seconds with at least one row inside. */
  busy(): number;
}

/** Starts measuring a stage. */
export function gauge(stage: string, now: () => number = () => performance.now()): Gauge & { enter(): void; leave(): void } {
  let seconds = 0;
  let since = 0;
  return {
    stage,
    rowsIn: 0,
    rowsOut: 0,
    busy() {
      return this.rowsIn > this.rowsOut ? seconds + (now() - since) / 1000 : seconds;
    },
    enter() {
      if (this.rowsIn++ === this.rowsOut) since = now();
    },
    leave() {
      if (++this.rowsOut === this.rowsIn) seconds += (now() - since) / 1000;
    },
  };
}

/** The same operator, with the rows that enter and leave it counted and timed; rows are not touched. */
export function gauged(operator: OperatorFunction<Row, Row>, meter: { enter(): void; leave(): void }): OperatorFunction<Row, Row> {
  return (source: Observable<Row>) =>
    defer(() =>
      source.pipe(
        tap(() => meter.enter()),
        operator,
        tap(() => meter.leave()),
      ),
    );
}
