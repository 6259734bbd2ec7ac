import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import { syncFile } from '../io/manifest.js';
import { cutMetrics, metricsText, writeMetrics, type MetricsLine } from '../io/metrics-table.js';
import { noRoom } from '../io/whole-file.js';
import type { Gauge } from './gauge.js';
import type { StepReport } from './report.js';

/** Keeps a run's steps: each becomes one JSON line of `metrics.jsonl` at once, and all of them `metrics.arrow` at each flush. */
export interface Steps {
  readonly count: number;
  /** Writes the step down; the same step with the busy seconds of each stage since the one before. */
  take(step: StepReport, gauges: readonly Gauge[]): StepReport;
  /** Writes the table of all steps, and waits until their lines are on disk; nothing where there was none. */
  flush(): Promise<void>;
}

/**
 * @param folder the run's `metrics`.
 * @param done steps of an earlier run that stay; what it wrote down of later ones is given up.
 */
export async function steps(folder: string, done = 0, now: () => Date = () => new Date()): Promise<Steps> {
  const file = join(folder, 'metrics.jsonl');
  const lines: MetricsLine[] = done > 0 ? await cutMetrics(file, done) : [];
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
      try {
        appendFileSync(file, metricsText(line));
      } catch (error) {
        noRoom(file, 'metrics')(error);
      }
      return full;
    },
    async flush() {
      if (lines.length === 0) return;
      await syncFile(file).catch(noRoom(file, 'metrics'));
      await writeMetrics(join(folder, 'metrics.arrow'), lines);
    },
  };
}

/** Milliseconds are enough for people. */
export function thousandths(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
