import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import { writeMetrics, type MetricsLine } from '../io/metrics-table.js';
import type { Gauge } from './gauge.js';
import type { StepReport } from './report.js';

/** Keeps a run's steps: each becomes one JSON line of `metrics.jsonl` at once, and all of them `metrics.arrow` at the end. */
export interface Steps {
  readonly count: number;
  /** Writes the step down; the same step with the busy seconds of each stage since the one before. */
  take(step: StepReport, gauges: readonly Gauge[]): StepReport;
  /** Writes the table of all steps; nothing where there was none. */
  close(): Promise<void>;
}

/** @param folder the run's `metrics`. */
export function steps(folder: string, now: () => Date = () => new Date()): Steps {
  const lines: MetricsLine[] = [];
  const before = new Map<string, number>();
  return {
    get count() {
      return lines.length;
    },
    take(step, gauges) {
      const seconds: Record<string, number> = {};
      for (const gauge of gauges) {
        const busy = gauge.busy();
        seconds[gauge.stage] = thousandths(busy - (before.get(gauge.stage) ?? 0));
        before.set(gauge.stage, busy);
      }
      const full = { ...step, seconds: { ...seconds, ...step.seconds } };
      const queue = Object.fromEntries(gauges.map((gauge) => [gauge.stage, gauge.rowsIn - gauge.rowsOut]));
      const line: MetricsLine = { step: full.step, time: now().toISOString(), metrics: full.metrics, seconds: full.seconds, queue };
      lines.push(line);
      appendFileSync(join(folder, 'metrics.jsonl'), `${JSON.stringify(line)}\n`);
      return full;
    },
    async close() {
      if (lines.length > 0) await writeMetrics(join(folder, 'metrics.arrow'), lines);
    },
  };
}

/** Milliseconds are enough for people. */
export function thousandths(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
