import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { isDeepStrictEqual } from 'node:util';

import { defined } from '../../defined.js';
import { DataError, messageOf, shortPath, shown, UsageError } from '../../errors.js';
import { checkRows } from '../../io/arrow/shard.js';
import { checkMetrics } from '../../io/metrics-table.js';
import { inLine } from '../../printable.js';
import { checkVersions } from '../../io/arrow/stored-columns.js';
import { checkSeal, dropFolder } from '../../io/sealed-folder.js';
import { RunFolder, stepName } from '../store/run-folder.js';
import { putAside, type RowCache } from './row-cache.js';
import { resolved, type Pipeline } from '../config/read.js';
import { locate } from '../config/yaml-source.js';
import { checkInputs, inputsOf, readInputs, writeInputs } from '../store/inputs.js';
import { configHash, readState, type Saved } from '../store/checkpoint-state.js';
import { columnsOf, pipelineContext } from '../stage.js';

/** A run that resumes; without a checkpoint, from its beginning. */
export interface Resumed {
  readonly folder: RunFolder;
  readonly from?: Saved;
  /** Its written rows, if no stage learns. */
  readonly kept?: RowCache;
}

/**
 * The folder of the run that is to resume.
 *
 * @param folder by default the newest of the pipeline's under `runs`.
 * @throws {UsageError} if there is no such run, or the pipeline is another.
 */
export function runToResume(pipeline: Pipeline, folder: string | undefined): RunFolder {
  const run = folder === undefined ? newestRun(pipeline) : new RunFolder(folder);
  sameConfig(run, pipeline);
  return run;
}

/**
 * Prepares an interrupted run to resume. What it wrote after the checkpoint is discarded: later checkpoints here, rows
 * and metrics when they are opened. If no stage learns, it restarts and reuses its written rows; a server's answers are
 * kept.
 *
 * @param folder as `runToResume` gives it.
 * @param which checkpoint, as in `step-20`; by default the newest.
 * @param notice called with what may change the last bits.
 * @throws {UsageError} if there is no such checkpoint, the pipeline cannot resume, its rows are of a newer version, or
 * what it reads is not what the run began with.
 * @throws {DataError} if the checkpoint, or rows or metrics from before it, are damaged; names an intact older one, if
 * there is one.
 */
export async function resumption(
  pipeline: Pipeline,
  folder: RunFolder,
  which: string | undefined,
  notice: (text: string) => void = () => {},
): Promise<Resumed> {
  const source = pipeline.stages[0];
  if (learns(pipeline) && !source?.stage.resumes)
    throw new UsageError(
      `resume: expected a source that can go on, such as load; got ${source?.name}; way out: begin another run`,
    );
  await sameInputs(pipeline, folder, notice);
  folder.make();
  readableRows(folder);
  const from = await chosen(folder, which);
  await dropAfter(from?.state.step ?? 0, folder);
  if (from) return { folder, from };
  const kept = changes(pipeline) ? undefined : await putAside(folder);
  for (const each of [folder.rows, folder.metrics]) await rm(each, { recursive: true, force: true });
  return { folder: folder.make(), ...defined({ kept }) };
}

async function sameInputs(pipeline: Pipeline, folder: RunFolder, notice: (text: string) => void): Promise<void> {
  const [before, now] = [readInputs(folder), await inputsOf(pipeline)];
  if (before) for (const text of checkInputs(folder, before, now)) notice(text);
  else
    notice(
      `${shortPath(folder.inputs)}  resume: the run has none, so it is unchecked whether models, data and modules are what it began with`,
    );
  if (!before && folder.checkpointSteps().length === 0) await writeInputs(folder, now);
}

/** @throws {UsageError} if a newer program wrote the rows: nothing of them may be lost. */
function readableRows({ rows, earlierRows }: RunFolder): void {
  try {
    for (const folder of [rows, earlierRows]) checkVersions(folder);
  } catch (error) {
    throw new UsageError(messageOf(error), { cause: error });
  }
}

/** Discards what a run did after a step, and unfinished work. */
async function dropAfter(last: number, folder: RunFolder): Promise<void> {
  for (const stale of folder.halfWrittenCheckpoints()) await rm(stale, { recursive: true });
  for (const step of folder.evaluationSteps())
    if (step > last) await rm(folder.evaluation(step).root, { recursive: true, force: true });
  for (const step of folder.checkpointSteps()) if (step > last) await dropFolder(folder.checkpoint(step));
}

/** Whether a pipeline takes steps, which become checkpoints. */
export function learns({ stages }: Pipeline): boolean {
  return stages.some(({ stage, options }) => columnsOf(stage, options).includes('step'));
}

/** Whether completions may depend on earlier rows. */
function changes(pipeline: Pipeline): boolean {
  return learns(pipeline) || pipelineContext(pipeline.settings, pipeline.stages).updatesPolicy;
}

/** The last run of a pipeline: the one that `run:` names, or the newest of its name. */
function newestRun({ name, settings }: Pipeline): RunFolder {
  if (settings.run !== undefined) return RunFolder.inRuns(settings.run);
  const runs = RunFolder.inRuns().root;
  const all = (existsSync(runs) ? readdirSync(runs) : []).map((entry) => RunFolder.inRuns(entry));
  const began = ({ config }: RunFolder): number => statSync(config).mtimeMs;
  const own = all.filter((run) => configOf(run)?.[0]?.[0] === name);
  const [newest] = own.toSorted((a, b) => began(b) - began(a));
  if (newest === undefined)
    throw new UsageError(
      `${shortPath(runs)}  resume: expected a run of ${JSON.stringify(name)}; got none; way out: --run names its folder`,
    );
  return newest;
}

/** Pipelines that a run was started with, its own first; undefined if the folder is no run. */
function configOf({ config: file }: RunFolder): [string, Record<string, unknown>][] | undefined {
  if (!existsSync(file)) return undefined;
  try {
    return Object.entries(
      (locate(readFileSync(file, 'utf8'), file).value ?? {}) as Record<string, Record<string, unknown>>,
    );
  } catch (error) {
    throw new DataError(`${messageOf(error).split('\n', 1)[0]}; way out: config.yaml as the run began with it`, {
      cause: error,
    });
  }
}

function sameConfig(run: RunFolder, pipeline: Pipeline): void {
  const { root } = run;
  const config = configOf(run);
  if (!config)
    throw new UsageError(`${shortPath(root)}  resume: expected the folder of a run; got one without config.yaml`);
  const [[name, own] = ['', {}], evaluation] = config;
  if (name !== pipeline.name)
    throw new UsageError(
      `${shortPath(root)}  resume: expected a run of ${JSON.stringify(pipeline.name)}; got one of ${JSON.stringify(name)}`,
    );
  const found = differences(own, plain(resolved(pipeline)), indifferentIn(pipeline));
  if (evaluation && pipeline.evaluation) {
    const others = differences(evaluation[1], plain(resolved(pipeline.evaluation)), indifferentIn(pipeline.evaluation));
    found.push(
      ...others
        .filter(({ key }) => !key.startsWith('policy.'))
        .map((one) => ({ ...one, key: `${evaluation[0]}: ${one.key}` })),
    );
  }
  if (found.length === 0) return;
  const lines = found.map(({ key, before, now }) =>
    inLine(`${shortPath(run.config)}  ${key}: expected ${shown(before)}, as the run began; got ${shown(now)}`),
  );
  throw new UsageError(`${lines.join('\n')}\nway out: begin another run, without --resume`);
}

/** Options of its stages that change no row and no weight. */
function indifferentIn({ stages }: Pipeline): (name: string) => readonly string[] {
  return (name) => stages.find((one) => one.name === name)?.stage.indifferent ?? [];
}

/** As it would be read from a file. */
function plain(config: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(config)) as Record<string, unknown>;
}

async function chosen(folder: RunFolder, which: string | undefined): Promise<Saved | undefined> {
  const steps = folder.checkpointSteps();
  const wanted = which === undefined ? steps[0] : steps.find((step) => stepName(step) === which);
  if (wanted === undefined && which === undefined) return undefined;
  if (wanted === undefined)
    throw new UsageError(
      `${shortPath(folder.checkpoints)}  resume: expected one of ${steps.map(stepName).join(', ') || 'no checkpoints'}; got ${shown(which)}`,
    );
  try {
    return await sound(folder, wanted);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const older = await firstSound(
      folder,
      steps.filter((step) => step < wanted),
    );
    const wayOut = older
      ? `--resume ${stepName(older.state.step)}, which is whole`
      : 'begin another run; no older checkpoint is whole';
    throw new DataError(`${error.message}; way out: ${wayOut}`, { cause: error });
  }
}

/** An intact checkpoint, of which the rows and metrics are there, too. */
async function sound(run: RunFolder, step: number): Promise<Saved> {
  const folder = run.checkpoint(step);
  const state = await readState(folder);
  await checkSeal(folder);
  const config = configHash(run);
  if (state.config !== config)
    throw new DataError(`${run.config}  SHA-256: expected ${state.config}, as ${folder} has it; got ${config}`);
  await checkMetrics(run.stepLines, state.step);
  if (existsSync(run.rows) && readdirSync(run.rows).length > 0) await checkRows(run.rows, state.rows.rowsOut);
  return { folder, state };
}

async function firstSound(run: RunFolder, steps: readonly number[]): Promise<Saved | undefined> {
  for (const step of steps) {
    const found = await sound(run, step).catch(() => undefined);
    if (found) return found;
  }
  return undefined;
}

/** A key with different values in two configurations; undefined where one lacks it. */
export interface Difference {
  readonly key: string;
  readonly before: unknown;
  readonly now: unknown;
}

/** Keys that change no row and no weight, in any pipeline. */
const INDIFFERENT = [
  /^policy\.workers$/,
  /^(policy|segmenter)\.memory$/,
  /^checkpoints\./,
  /^evaluate\.every$/,
  /^(tolerate|run|imageCacheMegabytes)$/,
];

/**
 * Differences between two pipelines that affect rows or weights.
 *
 * @param before from `resolved`; keys of stages are `STAGE.OPTION`, of a second such stage `STAGE 2.OPTION`.
 * @param indifferent options of a stage that affect neither, `a.b` for nested ones.
 */
export function differences(
  before: Readonly<Record<string, unknown>>,
  now: Readonly<Record<string, unknown>>,
  indifferent: (stage: string) => readonly string[] = () => [],
): Difference[] {
  const [was, is] = [leaves(before), leaves(now)];
  const keys = new Set([...was.keys(), ...is.keys()]);
  return [...keys]
    .filter((key) => !isIndifferent(key, indifferent) && !isDeepStrictEqual(was.get(key), is.get(key)))
    .map((key) => ({ key, before: was.get(key), now: is.get(key) }));
}

function isIndifferent(key: string, indifferent: (stage: string) => readonly string[]): boolean {
  const [, stage = '', option = ''] = /^(.*?)(?: \d+)?\.(.*)$/.exec(key) ?? [];
  return INDIFFERENT.some((pattern) => pattern.test(key)) || indifferent(stage).includes(option);
}

function leaves({ stages, ...settings }: Readonly<Record<string, unknown>>): Map<string, unknown> {
  const found = new Map<string, unknown>();
  collect(settings, '', found);
  const names: string[] = [];
  for (const entry of Array.isArray(stages) ? (stages as Record<string, unknown>[]) : []) {
    const [[name, options] = ['', undefined]] = Object.entries(entry);
    names.push(name);
    const before = names.filter((other) => other === name).length;
    collect(options, before === 1 ? name : `${name} ${before}`, found);
  }
  return found.set('stages', names);
}

/** Lists are values of their own. */
function collect(value: unknown, path: string, found: Map<string, unknown>): void {
  if (value === undefined) return;
  if (value === null || typeof value !== 'object' || Array.isArray(value)) found.set(path, value);
  else for (const [key, below] of Object.entries(value)) collect(below, path === '' ? key : `${path}.${key}`, found);
}
