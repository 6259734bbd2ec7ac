import { appendFileSync } from 'node:fs';

import { syncFile } from '../../io/manifest.js';
import {
  cutMetrics,
  metricsText,
  replaceLast,
  writeMetrics,
  type MetricsLine,
  type Timing,
} from '../../io/metrics-table.js';
import { noRoom } from '../../io/whole-file.js';
import { depthsOf, thousandths, type StageMetrics } from './stage-metrics.js';
import type { StepEvent } from '../events.js';
import type { RunFolder } from '../store/run-folder.js';

/**
 * Keeps a run's steps: each becomes one JSON line of `metrics.jsonl` at once, and all of them `metrics.arrow` at each
 * flush. Only the newest is in memory.
 */
export interface StepLog {
  readonly count: number;
  /**
   * Records a step; returns it with its token counts, and how the time since the one before was spent.
   *
   * @param elapsed seconds of this run.
   */
  take(step: StepEvent, stages: readonly StageMetrics[], elapsed: number): StepEvent;
  /** Adds later metrics to the newest step. */
  amend(metrics: StepEvent['metrics']): Promise<void>;
  /** Writes the table of all steps, and waits until their lines are on disk; does nothing without steps. */
  flush(): Promise<void>;
}

/** @param done steps of an earlier run to keep; later ones are discarded. */
export async function stepLog(
  { stepLines: file, stepTable }: Pick<RunFolder, 'stepLines' | 'stepTable'>,
  done = 0,
  now: () => Date = () => new Date(),
): Promise<StepLog> {
  let last = done > 0 ? await cutMetrics(file, done) : undefined;
  let count = done;
  const since = differences();
  let tokens = last?.metrics['num_tokens'] ?? 0;
  return {
    get count() {
      return count;
    },
    take(step, stages, elapsed) {
      const timing = timed(since, step, stages, elapsed);
      if (step.tokens) tokens += step.tokens.read + step.tokens.written;
      const metrics = step.tokens ? { ...step.metrics, num_tokens: tokens } : step.metrics;
      const line: MetricsLine = { step: step.step, time: now().toISOString(), metrics, ...timing };
      [last, count] = [line, count + 1];
      try {
        appendFileSync(file, metricsText(line));
      } catch (error) {
        noRoom(file, 'metrics')(error);
      }
      return { ...step, metrics, timing };
    },
    async amend(metrics) {
      if (!last) return;
      last = { ...last, metrics: { ...last.metrics, ...metrics } };
      await replaceLast(file, last);
    },
    async flush() {
      if (count === 0) return;
      await syncFile(file).catch(noRoom(file, 'metrics'));
      await writeMetrics(stepTable, file);
    },
  };
}

/** @param since how much a number has grown. @param stages the source comes first. */
function timed(since: Grown, { tokens }: StepEvent, stages: readonly StageMetrics[], elapsed: number): Timing {
  const seconds = since('elapsed', elapsed);
  const [source] = stages;
  return {
    speed: {
      step_time: thousandths(seconds),
      ...(tokens && { tokens_per_second: thousandths(tokens.written / seconds) }),
    },
    seconds: Object.fromEntries(stages.map((one) => [one.stage, thousandths(since(`busy ${one.stage}`, one.busy()))])),
    blocked: source ? { [source.stage]: thousandths(since('blocked', source.blocked())) } : {},
    queue: depthsOf(stages),
  };
}

type Grown = (name: string, now: number) => number;

/** Growth of a growing number since the last call. */
function differences(): Grown {
  const before = new Map<string, number>();
  return (name, now) => {
    const grown = now - (before.get(name) ?? 0);
    before.set(name, now);
    return grown;
  };
}
