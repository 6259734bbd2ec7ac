import type { Timing } from '../io/metrics-table.js';
import type { BenchmarkReport } from '../operators/answer.js';
import type { Constant } from '../operators/scoring/constants.js';
import type { Scores } from '../operators/score.js';
import type { StepTokens } from '../operators/training/step-metrics.js';
import type { Tally } from '../operators/tally.js';
import type { Skipped } from '../records.js';
import type { Picture } from '../report/page.js';
import type { Gain } from '../report/tally-table.js';

/** What stages and the runner report to the listener of a run. */
export type RunEvent =
  | StartEvent
  /** A notice about the pipeline before its start, or about something during the run. */
  | { readonly kind: 'notice'; readonly text: string }
  /** An optimizer step, counted from 1; emitted once its weights are final. */
  | StepEvent
  | RowEvent
  /** Rows inside each stage now. */
  | { readonly kind: 'queue'; readonly depths: Readonly<Record<string, number>>; readonly tokens: number }
  /** The constant baseline; emitted once it is known. */
  | { readonly kind: 'baseline'; readonly constants: readonly Constant[] }
  /** A row's own values, as `tally` counts them. */
  | { readonly kind: 'counted'; readonly id: string; readonly values: Readonly<Record<string, number>> }
  | TallyEvent
  /** The policy and the run's state are on disk, in the checkpoint's folder; a run resumes here. */
  | { readonly kind: 'checkpoint'; readonly step: number; readonly folder: string }
  /** Scores of all rows, and overlays of some; emitted after the last row. */
  | { readonly kind: 'scores'; readonly name?: string; readonly scores: Scores; readonly gallery: readonly Picture[] }
  /** The result of a benchmark; emitted once its questions are answered. */
  | { readonly kind: 'benchmark'; readonly name?: string; readonly result: BenchmarkReport }
  /** An event of an evaluation, before the first step, after a step, or after the last. */
  | { readonly kind: 'evaluation'; readonly when: When; readonly report: RunEvent }
  /** The metrics of the evaluation after a step; they join those of the step. */
  | { readonly kind: 'evaluated'; readonly step: number; readonly metrics: Readonly<Record<string, number>> }
  | GainEvent
  | { readonly kind: 'end'; readonly summary: Summary };

/** Notified of everything in a run as it happens. */
export type RunListener = (report: RunEvent) => void;

/** When a policy is evaluated. */
export type When = 'before' | 'after' | `step-${number}`;

/** The metrics of all rows; emitted once they have passed. */
export interface TallyEvent {
  readonly kind: 'tally';
  /** Of the pipeline; the runner fills this in. */
  readonly name?: string;
  readonly tally: Tally;
}

/** What training changed on the rows of the evaluation. */
export interface GainEvent extends Gain {
  readonly kind: 'gain';
  /** Name of the pipeline that evaluated. */
  readonly name: string;
}

export interface StartEvent {
  readonly kind: 'start';
  readonly name: string;
  /** The run's folder. */
  readonly folder: string;
  readonly stages: readonly string[];
  /** Number of rows to come, if the source knows it. */
  readonly rows?: number;
  /** Steps after which the run stops. */
  readonly maxSteps?: number;
  /** Step after which the run resumes. */
  readonly resumed?: number;
}

/** A row that left the pipeline, and how many have by now. */
export interface RowEvent {
  readonly kind: 'row';
  readonly id: string;
  readonly rowsIn: number;
  readonly rowsOut: number;
  readonly marked: number;
  readonly skipped?: Skipped;
}

export interface StepEvent {
  readonly kind: 'step';
  readonly step: number;
  /** Ids of the rows that it took in; a checkpoint waits until they have left. */
  readonly rows?: readonly string[];
  /** By name, as in `reward`, `rewards/iou/mean`, `kl`. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Tokens since the step before; the runner makes `num_tokens` and a speed of them. */
  readonly tokens?: StepTokens;
  /** How long it took; the runner fills this in. */
  readonly timing?: Timing;
}

/** The outcome of a run. */
export interface Summary {
  readonly name: string;
  readonly folder: string;
  readonly rowsIn: number;
  readonly rowsOut: number;
  /** Marked rows by stage and reason. */
  readonly marked: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Completions that were not read, or lie where nothing is, by reason; absent where there are none. */
  readonly unread?: Readonly<Record<string, number>>;
  readonly steps: number;
  /** Tokens that the policy wrote. */
  readonly tokens: number;
  /** Seconds in which a stage had at least one row, by stage. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Seconds from the first pull to the last row. */
  readonly elapsed: number;
  /** Why the source was stopped before its end. */
  readonly stopped?: 'cancelled' | 'steps' | 'faults';
  /** The error's message. */
  readonly fault?: string;
}
