import { defer, tap, type Observable, type OperatorFunction } from 'rxjs';

import type { Row } from '../../records.js';
import type { Credits } from '../../streams/credits.js';
import type { Summary } from '../events.js';
import type { RunState } from '../store/checkpoint-state.js';
import type { RowTimings } from './row-timings.js';

/** Measurements of one stage so far. */
export interface StageMetrics {
  readonly stage: string;
  rowsIn: number;
  rowsOut: number;
  /** Seconds with at least one row inside. */
  busy(): number;
  /** Seconds in which a source was held back by a full window; 0 for other stages. */
  blocked(): number;
}

/** The numbers of one stage, and what moves them. */
export interface Meter extends StageMetrics {
  enter(): void;
  leave(): void;
  /** Undoes an `enter` without a row. */
  cancel(): void;
  /** A row is wanted, but the window is full. */
  hold(): void;
  /** The window has room. */
  admit(): void;
}

/** Starts measuring a stage. */
export function stageMetrics(stage: string, now: () => number = () => performance.now()): Meter {
  const busy = stopwatch(now);
  const blocked = stopwatch(now);
  const meter: Meter = {
    stage,
    rowsIn: 0,
    rowsOut: 0,
    busy: () => busy.seconds(),
    blocked: () => blocked.seconds(),
    enter() {
      meter.rowsIn++;
      busy.start();
    },
    leave() {
      meter.rowsOut++;
      busy.stop();
    },
    cancel() {
      meter.rowsIn--;
      busy.stop();
    },
    hold: () => blocked.start(),
    admit: () => blocked.stop(),
  };
  return meter;
}

/** Seconds with more starts than stops. */
function stopwatch(now: () => number) {
  let running = 0;
  let before = 0;
  let since = 0;
  return {
    seconds: () => (running > 0 ? before + (now() - since) / 1000 : before),
    start(): void {
      if (running++ === 0) since = now();
    },
    stop(): void {
      if (--running === 0) before += (now() - since) / 1000;
    },
  };
}

/**
 * The same window, measured for a source: it is busy from taking a credit until the row arrives or the credit is
 * returned, and blocked while it waits for a credit.
 */
export function meteredCredits(window: Credits, meter: Meter): Credits {
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
      const full = window.inFlight >= window.window;
      if (full) meter.hold();
      try {
        await window.take(signal);
      } finally {
        if (full) meter.admit();
      }
      meter.enter();
    },
    give(rowId) {
      meter.cancel();
      window.give(rowId);
    },
  };
}

/** Rows of a source, counted as they come. */
export function meteredSource(source: Observable<Row>, meter: Meter): Observable<Row> {
  return source.pipe(
    tap(() => {
      if (meter.rowsIn === meter.rowsOut) meter.enter();
      meter.leave();
    }),
  );
}

/** The same operator, with rows counted and timed, each by itself too; they are not changed. */
export function metered(
  operator: OperatorFunction<Row, Row>,
  meter: Meter,
  timings?: Pick<RowTimings, 'enter' | 'leave'>,
): OperatorFunction<Row, Row> {
  return (source: Observable<Row>) =>
    defer(() =>
      source.pipe(
        tap(({ id }) => {
          meter.enter();
          timings?.enter(meter.stage, id);
        }),
        operator,
        tap((row) => {
          meter.leave();
          // A custom stage may give nothing, which is reported behind it.
          const given: Row | undefined = row;
          if (given) timings?.leave(meter.stage, given.id);
        }),
      ),
    );
}

/** Time of a run, and of the run that it resumes, if any. */
export interface Clock {
  /** Of the stages; none before the start. */
  readonly stages: readonly StageMetrics[];
  /** Restarts the clocks: waiting before the run does not count. */
  start(stages: readonly StageMetrics[]): void;
  /** Seconds since the start. */
  elapsed(): number;
  /** Total time, the earlier run's included. */
  spent(): Pick<Summary, 'elapsed' | 'seconds'>;
}

export function clock(before?: Pick<RunState, 'elapsed' | 'seconds'>): Clock {
  let measured: readonly StageMetrics[] = [];
  let began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 1000;
  return {
    get stages() {
      return measured;
    },
    start(stages) {
      measured = stages;
      began = performance.now();
    },
    elapsed,
    spent() {
      const seconds = measured.map(
        (one) => [one.stage, thousandths((before?.seconds[one.stage] ?? 0) + one.busy())] as const,
      );
      return { elapsed: thousandths((before?.elapsed ?? 0) + elapsed()), seconds: Object.fromEntries(seconds) };
    },
  };
}

/** Rounded to milliseconds, for people. */
export function thousandths(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

/** Rows inside each stage now. */
export function depthsOf(stages: readonly StageMetrics[]): Record<string, number> {
  return Object.fromEntries(stages.map(({ stage, rowsIn, rowsOut }) => [stage, rowsIn - rowsOut]));
}
