import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { parse } from 'yaml';

import { DataError, messageOf, shortPath, shown, UsageError } from '../../errors.js';
import { checkSeal, dropFolder } from '../../io/sealed-folder.js';
import { differences } from './differences.js';
import { cutEvaluations } from '../store/evaluation-folders.js';
import { foldersOf } from '../store/run-folder.js';
import { putAside, type RowCache } from './row-cache.js';
import { resolved, type Pipeline } from '../config/read.js';
import { checkpointFolder, checkpointSteps, configHash, readState, type Saved } from '../store/checkpoint-state.js';
import { columnsOf, pipelineContext, type Folders } from '../stage.js';

/** Checkpoints that were being written or removed when their run was broken off. */
const HALF_WRITTEN = /^step-\d+(\.making|(\.making)?\.partial(-\d+)?)$/;

/** A run that goes on; from its beginning where it had no checkpoint yet. */
export interface Resumed {
  readonly folders: Folders;
  readonly from?: Saved;
  /** What it had written, where no stage learns. */
  readonly kept?: RowCache;
}

/**
 * The folder of the run that is to go on.
 *
 * @param folder the newest of the pipeline's under `runs` unless told.
 * @throws {UsageError} if there is no such run, or the pipeline is another.
 */
export function runToResume(pipeline: Pipeline, folder: string | undefined): string {
  const root = resolve(folder ?? newestRun(pipeline));
  sameConfig(root, pipeline);
  return root;
}

/**
 * Makes a run that was broken off ready to go on.
 *
 * What it wrote after the checkpoint is given up: later checkpoints here, rows and metrics by whoever opens them. Where
 * no stage learns, it
 * begins again with what it wrote; answers that a server gave stay.
 *
 * @param root as `runToResume` gives it.
 * @param which checkpoint, as in `step-20`; the newest unless told.
 * @throws {UsageError} if there is no such checkpoint, or the pipeline cannot go on.
 * @throws {DataError} if the checkpoint is not what it was when it was written; names an older one that is, if there is
 * one.
 */
export async function resumption(pipeline: Pipeline, root: string, which: string | undefined): Promise<Resumed> {
  const source = pipeline.stages[0];
  if (learns(pipeline) && !source?.stage.resumes)
    throw new UsageError(
      `resume: expected a source that can go on, such as load; got ${source?.name}; way out: begin another run`,
    );
  const folders = foldersOf(root);
  const from = await chosen(folders, which);
  const stale = readdirSync(folders.checkpoints).filter((name) => HALF_WRITTEN.test(name));
  for (const name of stale) await rm(join(folders.checkpoints, name), { recursive: true });
  await cutEvaluations(root, from?.state.step ?? 0);
  for (const step of checkpointSteps(folders.checkpoints))
    if (step > (from?.state.step ?? 0)) await dropFolder(checkpointFolder(folders.checkpoints, step));
  if (from) return { folders, from };
  const kept = changes(pipeline) ? undefined : await putAside(folders);
  for (const each of [folders.rows, folders.metrics]) await rm(each, { recursive: true, force: true });
  return { folders: foldersOf(root), ...(kept && { kept }) };
}

/** Whether a pipeline takes steps, which become checkpoints. */
export function learns({ stages }: Pipeline): boolean {
  return stages.some(({ stage, options }) => columnsOf(stage, options).includes('step'));
}

/** Whether what a policy writes may hang on the rows before. */
function changes(pipeline: Pipeline): boolean {
  return learns(pipeline) || pipelineContext(pipeline.settings, pipeline.stages).updatesPolicy;
}

/** The run of a pipeline that was begun last: the one that `run:` names, or the newest of its name. */
function newestRun({ name, settings }: Pipeline): string {
  const runs = resolve('runs');
  if (settings.run !== undefined) return join(runs, settings.run);
  const began = (entry: string): number => statSync(join(runs, entry, 'config.yaml')).mtimeMs;
  const own = (existsSync(runs) ? readdirSync(runs) : []).filter(
    (entry) => configOf(join(runs, entry))?.[0]?.[0] === name,
  );
  const [newest] = own.toSorted((a, b) => began(b) - began(a));
  if (newest === undefined)
    throw new UsageError(
      `${shortPath(runs)}  resume: expected a run of ${JSON.stringify(name)}; got none; way out: --run names its folder`,
    );
  return join(runs, newest);
}

/** Pipelines that a run was started with, its own first; undefined where the folder is no run's. */
function configOf(root: string): [string, Record<string, unknown>][] | undefined {
  const file = join(root, 'config.yaml');
  if (!existsSync(file)) return undefined;
  try {
    return Object.entries((parse(readFileSync(file, 'utf8')) ?? {}) as Record<string, Record<string, unknown>>);
  } catch (error) {
    throw new DataError(
      `${shortPath(file)}  expected the pipeline of a run; got ${messageOf(error).split('\n', 1)[0]}`,
      { cause: error },
    );
  }
}

function sameConfig(root: string, pipeline: Pipeline): void {
  const config = configOf(root);
  if (!config)
    throw new UsageError(`${shortPath(root)}  resume: expected the folder of a run; got one without config.yaml`);
  const [[name, own] = ['', {}], evaluation] = config;
  if (name !== pipeline.name)
    throw new UsageError(
      `${shortPath(root)}  resume: expected a run of ${JSON.stringify(pipeline.name)}; got one of ${JSON.stringify(name)}`,
    );
  const told = differences(own, plain(resolved(pipeline)));
  if (evaluation && pipeline.evaluation) {
    const others = differences(evaluation[1], plain(resolved(pipeline.evaluation)));
    told.push(
      ...others
        .filter(({ key }) => !key.startsWith('policy.'))
        .map((one) => ({ ...one, key: `${evaluation[0]}: ${one.key}` })),
    );
  }
  if (told.length === 0) return;
  const lines = told.map(
    ({ key, before, now }) =>
      `${shortPath(join(root, 'config.yaml'))}  ${key}: expected ${shown(before)}, as the run began; got ${shown(now)}`,
  );
  throw new UsageError(`${lines.join('\n')}\nway out: begin another run, without --resume`);
}

/** As it reads back from a file. */
function plain(config: Record<string, unknown>): Record<string, unknown> {
  return JSON.parse(JSON.stringify(config)) as Record<string, unknown>;
}

async function chosen({ root, checkpoints }: Folders, which: string | undefined): Promise<Saved | undefined> {
  const steps = checkpointSteps(checkpoints);
  const wanted = which === undefined ? steps[0] : steps.find((step) => `step-${step}` === which);
  if (wanted === undefined && which === undefined) return undefined;
  if (wanted === undefined)
    throw new UsageError(
      `${shortPath(checkpoints)}  resume: expected one of ${steps.map((step) => `step-${step}`).join(', ') || 'no checkpoints'}; got ${shown(which)}`,
    );
  try {
    return await sound(root, checkpointFolder(checkpoints, wanted));
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const older = await firstSound(
      root,
      steps.filter((step) => step < wanted).map((step) => checkpointFolder(checkpoints, step)),
    );
    const wayOut = older
      ? `--resume step-${older.state.step}, which is whole`
      : 'begin another run; no older checkpoint is whole';
    throw new DataError(`${error.message}; way out: ${wayOut}`, { cause: error });
  }
}

/** A checkpoint that is what it was when it was written. */
async function sound(root: string, folder: string): Promise<Saved> {
  const state = await readState(folder);
  await checkSeal(folder);
  const config = configHash(root);
  if (state.config !== config)
    throw new DataError(
      `${join(root, 'config.yaml')}  SHA-256: expected ${state.config}, as ${folder} has it; got ${config}`,
    );
  return { folder, state };
}

async function firstSound(root: string, folders: readonly string[]): Promise<Saved | undefined> {
  for (const folder of folders) {
    const found = await sound(root, folder).catch(() => undefined);
    if (found) return found;
  }
  return undefined;
}
