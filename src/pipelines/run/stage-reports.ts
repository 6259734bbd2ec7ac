import { shown, UsageError } from '../../errors.js';
import { bestConstant, type Constant } from '../../operators/scoring/constants.js';
import { writeSummary, type RunSummary } from '../../report/summary-files.js';
import type { RunEvent, RunListener, StepEvent } from '../events.js';
import { writeBenchmark } from '../store/artifacts.js';
import type { RunFolder } from '../store/run-folder.js';

/** Passes events to one listener, which may be set later; `emit` throws what the listener throws. */
export interface Relay {
  readonly emit: RunListener;
  readonly listen: (listener: RunListener) => void;
}

export function relay(): Relay {
  let hear: RunListener = () => {};
  return {
    emit: (event: RunEvent) => hear(event),
    listen: (listener) => void (hear = listener),
  };
}

/** Distributes what stages report: steps to the run, results to its folder, everything to the listener. */
export function resultsTo(
  folder: RunFolder,
  name: string,
  { stepped, watch }: { readonly stepped: (step: StepEvent) => void; readonly watch: RunListener },
): RunListener {
  let baseline: Readonly<Record<string, number>> = {};
  let results: RunSummary = {};
  return (event) => {
    if (event.kind === 'baseline') baseline = baselineOf(event.constants);
    if (event.kind === 'step') return stepped({ ...event, metrics: { ...numbers(event), ...baseline } });
    if (event.kind === 'tally' || event.kind === 'scores') {
      results = { ...results, ...event };
      writeSummary(folder, name, results);
      return watch({ ...event, name });
    }
    if (event.kind !== 'benchmark') return watch(event);
    writeBenchmark(folder, name, event.result);
    watch({ ...event, name });
  };
}

/** @throws {UsageError} for a metric of a custom stage that is no number. */
function numbers({ step, metrics }: StepEvent): StepEvent['metrics'] {
  const wrong = Object.entries(metrics).find(([, value]) => typeof value !== 'number');
  if (wrong) throw new UsageError(`step ${shown(step)}  metrics: expected numbers; got ${wrong[0]} ${shown(wrong[1])}`);
  return metrics;
}

/** The constant baseline, for every step's metrics. */
function baselineOf(constants: readonly Constant[]): Record<string, number> {
  const best = bestConstant(constants);
  return best ? { 'baseline/constant': best.reward.mean } : {};
}
