import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Gauge } from './gauge.js';
import type { StepReport } from './report.js';

/** Keeps a run's steps: each becomes one JSON line of `metrics.jsonl`. */
export interface Steps {
  readonly count: number;
  /** Writes the step down; the same step with the busy seconds of each stage since the one before. */
  take(step: StepReport, gauges: readonly Gauge[]): StepReport;
}

/** @param folder the run's `metrics`. */
export function steps(folder: string, now: () => Date = () => new Date()): Steps {
  let count = 0;
  const before = new Map<string, number>();
  return {
    get count() {
      return count;
    },
    take(step, gauges) {
      count++;
      const seconds: Record<string, number> = {};
      for (const gauge of gauges) {
        const busy = gauge.busy();
        seconds[gauge.stage] = thousandths(busy - (before.get(gauge.stage) ?? 0));
        before.set(gauge.stage, busy);
      }
      const full = { ...step, seconds: { ...seconds, ...step.seconds } };
      const queue = Object.fromEntries(gauges.map((gauge) => [gauge.stage, gauge.rowsIn - gauge.rowsOut]));
      const line = { step: full.step, time: now().toISOString(), metrics: full.metrics, seconds: full.seconds, queue };
      appendFileSync(join(folder, 'metrics.jsonl'), `${JSON.stringify(line)}\n`);
      return full;
    },
  };
}

/** Milliseconds are enough for people. */
export function thousandths(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
