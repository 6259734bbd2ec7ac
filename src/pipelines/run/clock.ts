import type { StageMetrics } from './stage-metrics.js';
import type { Summary } from '../events.js';
import type { RunState } from '../store/checkpoint-state.js';

/** Time of a run, and of the one that it goes on with, if it does. */
export interface Clock {
  /** Of the stages; none before the start. */
  readonly gauges: readonly StageMetrics[];
  /** Begins anew: what was waited for before is no part of the run. */
  start(gauges: readonly StageMetrics[]): void;
  /** Seconds since the start. */
  elapsed(): number;
  /** All that was spent, the earlier run's time included. */
  spent(): Pick<Summary, 'elapsed' | 'seconds'>;
}

export function clock(before?: Pick<RunState, 'elapsed' | 'seconds'>): Clock {
  let gauges: readonly StageMetrics[] = [];
  let began = performance.now();
  const elapsed = (): number => (performance.now() - began) / 1000;
  return {
    get gauges() {
      return gauges;
    },
    start(stages) {
      gauges = stages;
      began = performance.now();
    },
    elapsed,
    spent() {
      const seconds = gauges.map(
        (gauge) => [gauge.stage, thousandths((before?.seconds[gauge.stage] ?? 0) + gauge.busy())] as const,
      );
      return { elapsed: thousandths((before?.elapsed ?? 0) + elapsed()), seconds: Object.fromEntries(seconds) };
    },
  };
}

/** Milliseconds are enough for people. */
export function thousandths(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
