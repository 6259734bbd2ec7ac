import type { Observable } from 'rxjs';
import type { z } from 'zod';

import type { Coordinates, Policy, Resumable, Trainable } from '../models/policy.js';
import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Start } from '../streams/pulled.js';
import { isColumn, type Column, type OwnColumns, type OwnValues } from '../io/arrow/own-columns.js';
import type { RewardOptions } from '../operators/rewards/options.js';
import type { Protocol } from '../operators/scoring/protocol.js';
import type { Row, SamplingOptions } from '../records.js';
import type { Credits } from '../streams/credits.js';
import type { RunEvent } from './events.js';
import type { Settings } from './settings.js';
import type { RunFolder } from './store/run-folder.js';

/**
 * What stages are built with: collaborators opened at first use, shared, and released by the runner in reverse order.
 */
export interface StageContext extends PipelineContext {
  /** The resolved pipeline as JSON, for records of the run. */
  readonly config: string;
  readonly folder: RunFolder;
  /** Aborted when the source is to end; rows in flight are finished. */
  readonly signal: AbortSignal;
  readonly credits: Credits;
  readonly read: ReadImage;
  segmenter(): Promise<Segmenter>;
  /** Units in which the pipeline's policy writes where things are, without opening it; pixels where there is none. */
  coordinates(): Promise<Coordinates>;
  policy(): Promise<Policy & Resumable>;
  /** The policy for a stage that says `updatesPolicy`: its steps become checkpoints, from which a run resumes. */
  trainable(): Promise<Policy & Resumable & Trainable>;
  /**
   * For a stage that changes the policy: resolves once all rows under way have come to it, so that each row is written by
   * the same weights in every run. Undefined where a stage before it may hold rows back until a step.
   */
  readonly settled?: (() => Promise<void>) | undefined;
  /** Where the run resumes; undefined in a new run. */
  readonly resumed?: Position;
  /**
   * For stages with state from row to row.
   *
   * @param keep called at each checkpoint; returns the state as JSON, without the rows in `pending`, which will come
   * again.
   * @returns the state at the checkpoint from which the run resumes; undefined in a new run.
   */
  keepState(stage: string, keep: (pending: ReadonlySet<string>) => unknown): unknown;
  /** Adds something that checkpoints wait for, such as rows being written. */
  beforeCheckpoint(job: () => Promise<unknown>): void;
  /** Reports to the runner and the run's listener; a step's metrics go to the run's folder. */
  emit(event: RunEvent): void;
  /** A named resource shared by stages: made at the first call, released once at the end. */
  shared<T>(name: string, make: () => T | Promise<T>, release: (made: T) => void | Promise<void>): Promise<T>;
}

/** Where a run resumes. */
export interface Position extends Start {
  /** Rows that had left. */
  readonly rowsOut: number;
}

/** A source of rows, or an operator on them; `needs` and `adds` declare their columns. */
export type Built<R extends Row = Row> = Observable<R> | RowOperator<StageRow, R>['on'];

/** A method, so that an operator may also ask for rows with custom columns of other stages. */
interface RowOperator<In, Out> {
  on(source: Observable<In>): Observable<Out>;
}

/**
 * A row as a stage takes it, with every built-in column; those that the stage `needs` are there. A marked row,
 * `skipped`, lacks columns that the type promises, too: a stage passes it on.
 */
export type StageRow = Row & { readonly [Name in Exclude<keyof Row, 'skipped'>]-?: NonNullable<Row[Name]> };

/**
 * Columns that a stage adds: names of built-in ones, or a map that gives each custom column a type, such as
 * `{ difficulty: column.float('how hard it is') }`, and a built-in one `column.known`.
 */
export type Adds = readonly string[] | Readonly<Record<string, Column | 'known'>>;

/** What a stage declares to the others: they look for a fact, never for a stage by its name. */
export interface StageFacts {
  /** How completions are sampled, as far as it is known before the run. */
  readonly sampling?: Partial<SamplingOptions> & { readonly group?: number; readonly entropy?: boolean };
  /** Rows that it gathers for one optimizer step, and how many steps it takes on them; 1 by default. */
  readonly rowsPerStep?: number;
  readonly stepsPerBatch?: number;
  /** Weight of each part of the reward, custom ones too, and the options of the built-in parts. */
  readonly rewards?: { readonly weights: Readonly<Record<string, number>>; readonly builtIn: RewardOptions };
  /** Metrics in the column `scores`. */
  readonly scores?: readonly string[];
  /** The option by which a row's advantages depend on other rows of its step, and what would be without. */
  readonly acrossRows?: { readonly option: string; readonly value: string; readonly without: string };
  /** Title of a source's rows, how they are scored, and the frame that was asked for. */
  readonly source?: { readonly set: string; readonly protocol?: Protocol; readonly frame?: unknown };
  /** Weight of the loss on image tokens, which needs a head of its own. */
  readonly patchMask?: number;
}

/** A fact, and the stage that says it. */
export interface Fact<Name extends keyof StageFacts> {
  readonly stage: string;
  readonly value: NonNullable<StageFacts[Name]>;
}

/** What a stage may know about its pipeline. */
export interface PipelineContext {
  readonly settings: Settings;
  /** Whether a stage changes the policy's weights. */
  readonly updatesPolicy: boolean;
  /** Whether a stage skips steps with non-finite rewards. */
  readonly skipsNonFinite: boolean;
  /** Names of all columns that stages add. */
  readonly columns: ReadonlySet<string>;
  /** The custom ones among them. */
  readonly ownColumns: OwnColumns;
  /** The fact of the first stage that declares it; undefined if none does. */
  readonly fact: <Name extends keyof StageFacts>(name: Name) => Fact<Name> | undefined;
}

/** The pipeline as its stages may see it. */
export function pipelineContext(
  settings: Settings,
  stages: readonly { readonly name: string; readonly options: unknown; readonly stage: Stage }[],
): PipelineContext {
  return {
    settings,
    updatesPolicy: stages.some(({ stage: { updatesPolicy = false } }) => updatesPolicy),
    skipsNonFinite: stages.some(({ stage: { skipsNonFinite = false } }) => skipsNonFinite),
    columns: new Set(stages.flatMap(({ stage: definition, options }) => columnsOf(definition, options))),
    ownColumns: Object.assign({}, ...stages.map(({ stage: one, options }) => ownColumnsOf(one, options))) as OwnColumns,
    fact<Name extends keyof StageFacts>(fact: Name) {
      for (const { name, stage: definition, options } of stages) {
        const value = definition.facts?.(options)[fact];
        if (value !== undefined) return { stage: name, value: value as Fact<Name>['value'] };
      }
      return undefined;
    },
  };
}

/** A broken rule: its option ('' for the stage itself), and the message after the stage's name. */
export interface Refusal {
  readonly option: string;
  readonly text: string;
}

/** One entry of the stage table. */
export interface StageDefinition<Options> {
  /** Its name in a pipeline's file. */
  readonly name: string;
  /** `source` comes first, `sink` last; by default `map`. */
  readonly kind?: 'source' | 'map' | 'sink';
  readonly options: z.ZodType<Options>;
  /** Columns that an earlier stage must have added. */
  readonly needs?: readonly string[];
  readonly adds?: Adds | ((options: Options) => Adds);
  /** Models that the pipeline must name. */
  readonly uses?: readonly ('policy' | 'segmenter')[];
  /** Options that name a file or folder, or a list or map of them: relative to the pipeline's file, and must exist. */
  readonly paths?: readonly string[] | ((options: Options) => readonly string[]);
  /** Modules that the options name, for `preflight` and `build` to run. */
  modules?(options: Options): readonly string[];
  /**
   * What decides its rows besides its options, by name: such as how many files, and their fingerprint. A resumed run
   * must find the same.
   */
  inputs?(options: Options, settings: Settings): Promise<Readonly<Record<string, string>>>;
  /** What a source takes, counted by name, such as images and masks. */
  counts?(options: Options): Readonly<Record<string, number>>;
  /** Number of rows of a source, if it is known. */
  rows?(options: Options): number | undefined;
  /** Cacheable: the output depends only on the row, so a restarted run reuses it. */
  readonly cacheable?: boolean;
  /** Whether it changes the policy's weights: only such a stage may ask for `trainable`. */
  readonly updatesPolicy?: boolean;
  /** Whether it skips a step with a non-finite reward; without such a stage, `reward` marks those rows. */
  readonly skipsNonFinite?: boolean;
  /** Whether it summarizes all rows with `emit({ kind: 'tally', … })`, as an evaluation must. */
  readonly summarizes?: boolean;
  /** Options that change no row and no weight: a resumed run may change them. */
  readonly indifferent?: readonly string[];
  /** Facts for other stages, under these options. */
  facts?(options: Options): StageFacts;
  /** Whether a source begins at `open.resumed`; a training run needs such a source to resume. */
  readonly resumes?: boolean;
  /** Whether rows that this stage marks for `reason` were skipped on purpose; `tolerate` does not count those. */
  filters?(reason: string): boolean;
  /** Rules that span options or stages. */
  rules?(options: Options, around: PipelineContext): readonly Refusal[];
  /** Checks of the files named by the options; called once they are there, and before any model is opened. */
  preflight?(options: Options): Promise<readonly Refusal[]>;
  /** Notices about allowed but unusual options, after the stage's name. */
  notices?(options: Options, around: PipelineContext): readonly string[];
  build(options: Options, open: StageContext): Built | Promise<Built>;
}

/** A stage of any options, as the table holds it. */
export type Stage = StageDefinition<unknown>;

/** One stage of a checked pipeline: its entry in the table, and its options with defaults filled in. */
export interface CheckedStage {
  readonly name: string;
  readonly stage: Stage;
  /** Undefined where they could not be read. */
  readonly options: unknown;
  /** A custom stage of which the module was not run: what it needs, adds and takes is unknown. */
  readonly unknown?: true;
}

/**
 * Declares a stage; a custom module exports the result and is listed under `operators:`.
 *
 * Rows of `build` may have the custom columns that `adds` declares.
 */
export function stage<Schema extends z.ZodType, const Added extends Adds = readonly string[]>(
  definition: Omit<StageDefinition<z.output<Schema>>, 'options' | 'adds' | 'build'> & {
    readonly options: Schema;
    readonly adds?: Added | ((options: z.output<Schema>) => Added);
    build(
      options: z.output<Schema>,
      open: StageContext,
    ): Built<Row & OwnValues<Added>> | Promise<Built<Row & OwnValues<Added>>>;
  },
): Stage {
  // Options are read with the stage's schema before any of its functions is called.
  return Object.freeze({ ...definition }) as unknown as Stage;
}

/** Keys that a stage may have. */
export const stageKeys: readonly string[] = Object.keys({
  name: true,
  kind: true,
  options: true,
  needs: true,
  adds: true,
  uses: true,
  paths: true,
  modules: true,
  inputs: true,
  counts: true,
  rows: true,
  cacheable: true,
  updatesPolicy: true,
  skipsNonFinite: true,
  summarizes: true,
  indifferent: true,
  facts: true,
  resumes: true,
  filters: true,
  rules: true,
  preflight: true,
  notices: true,
  build: true,
} satisfies Record<keyof Stage, true>);

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

/** Options of a stage that are paths. */
export function pathsOf(stage: Stage, options: unknown): readonly string[] {
  return typeof stage.paths === 'function' ? stage.paths(options) : (stage.paths ?? []);
}

/** Names of the columns that a stage adds under these options. */
export function columnsOf(stage: Stage, options: unknown): readonly string[] {
  const adds = addsOf(stage, options);
  return Array.isArray(adds) ? (adds as readonly string[]) : Object.keys(adds);
}

/** The columns among them that the stage itself gives a type. */
export function ownColumnsOf(stage: Stage, options: unknown): OwnColumns {
  const adds = addsOf(stage, options);
  if (Array.isArray(adds)) return {};
  return Object.fromEntries(Object.entries(adds).filter((entry): entry is [string, Column] => isColumn(entry[1])));
}

/** What a stage declares to add under these options. */
export function addsOf({ adds = [] }: Stage, options: unknown): Adds {
  return typeof adds === 'function' ? adds(options) : adds;
}
