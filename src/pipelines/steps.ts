import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

import { messageOf } from '../errors.js';
import { syncFile } from '../io/manifest.js';
import { cutMetrics, metricsText, replaceMetrics, writeMetrics, type MetricsLine } from '../io/metrics-table.js';
import type { Gauge } from './gauge.js';
import type { StepReport } from './report.js';

/** Keeps a run's steps: each becomes one JSON line of `metrics.jsonl` at once, and all of them `metrics.arrow` at each flush. */
export interface Steps {
  readonly count: number;
  /** Writes the step down; the same step with the busy seconds of each stage since the one before. */
  take(step: StepReport, gauges: readonly Gauge[]): StepReport;
  /** Adds to the metrics of the newest step what became known later. */
  amend(metrics: StepReport['metrics']): Promise<void>;
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
        fault(file)(error);
      }
      return full;
    },
    async amend(metrics) {
      const last = lines.pop();
      if (!last) return;
      lines.push({ ...last, metrics: { ...last.metrics, ...metrics } });
      await replaceMetrics(file, lines).catch(fault(file));
    },
    async flush() {
      if (lines.length === 0) return;
      const table = join(folder, 'metrics.arrow');
      await syncFile(file).catch(fault(file));
      await writeMetrics(table, lines).catch(fault(table));
    },
  };
}

function fault(file: string): (error: unknown) => never {
  return (error) => {
    throw new Error(`${file}  writing metrics: expected a folder with room for them; got ${messageOf(error)}`, { cause: error });
  };
}

/** Milliseconds are enough for people. */
export function thousandths(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}
