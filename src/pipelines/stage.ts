import type { Observable, OperatorFunction } from 'rxjs';
import type { z } from 'zod';

import type { VlmPolicy } from '../models/vlm/policy.js';
import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Start } from '../streams/pulled.js';
import type { Row } from '../records.js';
import type { Credits } from '../streams/credits.js';
import { valueAt } from './config/schema-paths.js';
import type { RunEvent } from './events.js';
import type { Settings } from './settings.js';

/**
 * What stages are built with: collaborators opened at first use, shared, and released by the runner in reverse order.
 */
export interface StageContext extends PipelineContext {
  /** The resolved pipeline as JSON, for whoever writes down what a run was. */
  readonly config: string;
  /** The run's folders. */
  readonly folders: Folders;
  /** Aborted when the source is to end; rows in flight go on to the end. */
  readonly signal: AbortSignal;
  readonly credits: Credits;
  readonly read: ReadImage;
  segmenter(): Promise<Segmenter>;
  policy(): Promise<VlmPolicy>;
  /** The policy for a stage that takes its steps: they become checkpoints, and a run goes on from one. */
  trainable(): Promise<VlmPolicy>;
  /** Where the run goes on that was broken off; none in one from the beginning. */
  readonly resumed?: Position;
  /**
   * For stages that keep something from row to row.
   *
   * @param keep called at each checkpoint; gives what is known of rows before, as JSON, without those of `again`: they
   * will come once more.
   * @returns what it gave at the checkpoint from which the run goes on; undefined in a run from the beginning.
   */
  keepState(stage: string, keep: (again: ReadonlySet<string>) => unknown): unknown;
  /** What a checkpoint has to wait for, such as rows that must be on disk. */
  beforeCheckpoint(job: () => Promise<unknown>): void;
  /** Tells the runner and whoever watches; a step's metrics go to the run's folder. */
  emit(event: RunEvent): void;
  /** One thing by name for all stages that ask: made at the first call, released once at the end. */
  shared<T>(name: string, make: () => T | Promise<T>, release: (made: T) => void | Promise<void>): Promise<T>;
}

/** Where a run goes on. */
export interface Position extends Start {
  /** Rows that had left. */
  readonly rowsOut: number;
}

/** Folders of a run, absolute. */
export interface Folders {
  readonly root: string;
  readonly rows: string;
  readonly metrics: string;
  readonly checkpoints: string;
}

/** A source of rows, or an operator on them; what rows hold is said by `needs` and `adds`. */
export type Built = Observable<Row> | OperatorFunction<never, Row>;

/** What a stage may know of the pipeline around it. */
export interface PipelineContext {
  readonly settings: Settings;
  /** Names of all stages, in order. */
  readonly stages: readonly string[];
  /** Whether a stage may change the policy: any that uses it and is not `rollout`, which only lets it write. */
  readonly updatesPolicy: boolean;
  /** An option of the first stage of that name, defaults filled in; undefined where there is no such stage. */
  readonly option: (stage: string, key: string) => unknown;
}

/** The pipeline as its stages may see it. */
export function pipelineContext(
  settings: Settings,
  stages: readonly { readonly name: string; readonly options: unknown; readonly stage?: Stage }[],
): PipelineContext {
  return {
    settings,
    stages: stages.map(({ name }) => name),
    updatesPolicy: stages.some(
      ({ name, stage: definition }) => name !== 'rollout' && definition?.uses?.includes('policy'),
    ),
    option: (stage, key) => valueAt(stages.find(({ name }) => name === stage)?.options, [key]),
  };
}

/** A broken rule: the option that it is about ('' for the stage itself), and what to say after the stage's name. */
export interface Refusal {
  readonly option: string;
  readonly text: string;
}

/** One entry of the stage table. */
export interface StageDefinition<Options> {
  /** As it stands in a pipeline's file. */
  readonly name: string;
  /** `source` comes first, `sink` last; `map` unless told. */
  readonly kind?: 'source' | 'map' | 'sink';
  readonly options: z.ZodType<Options>;
  /** Columns that an earlier stage must have added. */
  readonly needs?: readonly string[];
  readonly adds?: readonly string[] | ((options: Options) => readonly string[]);
  /** Models that the pipeline must name. */
  readonly uses?: readonly ('policy' | 'segmenter')[];
  /**
   * Options that name a file or folder, or a list or map of them, `OPTION.KEY` for one inside an option: taken from the
   * file's folder, and must exist.
   */
  readonly paths?: readonly string[];
  /** Rows that a source will give, where it can say. */
  rows?(options: Options): number | undefined;
  /**
   * Whether what it adds comes of the row alone and stands in shards as it is: of rows that were written before, a run
   * that is begun again takes it from there.
   */
  readonly cacheable?: boolean;
  /** Whether a source begins at `open.resumed`; a run that learns cannot go on with another. */
  readonly resumes?: boolean;
  /** Whether rows that this stage marks for `reason` were left out on purpose; `tolerate` does not count those. */
  filters?(reason: string): boolean;
  /** Rules that span options or stages. */
  rules?(options: Options, around: PipelineContext): readonly Refusal[];
  /** What only files named by the options can tell; asked once all else is right, and before any model is opened. */
  preflight?(options: Options): Promise<readonly Refusal[]>;
  /** What is allowed and yet worth a word before the run, behind the stage's name. */
  notices?(options: Options, around: PipelineContext): readonly string[];
  build(options: Options, open: StageContext): Built | Promise<Built>;
}

/** A stage of any options, as the table holds it. */
export type Stage = StageDefinition<unknown>;

/** Declares a stage; a module of one's own exports what this returns, and names itself under `operators:`. */
export function stage<Schema extends z.ZodType>(
  definition: Omit<StageDefinition<z.output<Schema>>, 'options'> & { readonly options: Schema },
): Stage {
  // Options are read with the stage's own schema before anything of it is called.
  return Object.freeze({ ...definition }) as unknown as Stage;
}

/** Whether a value, such as an export of somebody's module, is a stage. */
export function isStage(value: unknown): value is Stage {
  if (value === null || typeof value !== 'object') return false;
  const { name, options, build } = value as Partial<Stage>;
  return (
    typeof name === 'string' &&
    name !== '' &&
    typeof build === 'function' &&
    typeof options === 'object' &&
    typeof options?.safeParse === 'function'
  );
}

/** Columns that a stage adds under these options. */
export function columnsOf(stage: Stage, options: unknown): readonly string[] {
  return typeof stage.adds === 'function' ? stage.adds(options) : (stage.adds ?? []);
}
