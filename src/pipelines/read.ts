import { dirname, resolve } from 'node:path';

import { stringify } from 'yaml';

import { messageOf, UsageError } from '../errors.js';
import { check, type CheckedStage } from './check.js';
import type { Complaint } from './complaints.js';
import { valueAt } from './known.js';
import type { Path } from './locate.js';
import { withModules } from './modules.js';
import { pick, type Picked } from './pick.js';
import { applied, readOverride, stageEntries, type Override } from './set.js';
import { Settings } from './settings.js';
import type { Stage } from './stage.js';
import { stages } from './stages.js';

export interface ReadOptions {
  /** `key=value` each, as after `--set`. */
  readonly set?: readonly string[];
  /** Where names of pipelines are looked up. */
  readonly pipelinesFile?: string;
  /** The stages that a file may name, besides its own modules'. */
  readonly table?: ReadonlyMap<string, Stage>;
}

/** A pipeline in which nothing is left to refuse: names known, options complete, order right, files there. */
export interface Pipeline {
  readonly name: string;
  /** The YAML file, absolute. */
  readonly file: string;
  readonly settings: Settings;
  readonly stages: readonly CheckedStage[];
}

/**
 * Reads and checks a pipeline; opens no model.
 *
 * Paths in the file are relative to its folder, those of `set` to the working folder.
 *
 * @param what a YAML file, or the name of a pipeline.
 * @throws {UsageError} with every mistake of the file and of `set`, a line each: `file:line:col  what: expected …; got …`.
 */
export async function readPipeline(what: string, { set = [], pipelinesFile, table = stages }: ReadOptions = {}): Promise<Pipeline> {
  const picked = pick(what, pipelinesFile);
  const folder = dirname(picked.document.file);
  const written = valueAt(picked.document.value, picked.path);
  const { overrides, lines } = readOverrides(set, written);
  const map = overrides.reduce(applied, written);
  const operators = valueAt(map, ['operators']);
  const paths = Array.isArray(operators) ? operators.filter((path) => typeof path === 'string') : [];
  const own = await withModules(table, paths, folder);

  const resolvePath = (path: string, at: Path): string => resolve(overriding(overrides, at) ? '.' : folder, path);
  const checked = check(map, own.table, resolvePath);
  for (const complaint of inOrder([...own.complaints, ...checked.complaints], picked)) lines.push(`${place(picked, overrides, complaint)}  ${complaint.text}`);
  if (lines.length > 0) throw new UsageError(lines.join('\n'));
  const settings = { ...checked.settings, operators: checked.settings.operators.map((path) => resolve(folder, path)) };
  return { name: picked.name, file: picked.document.file, settings, stages: checked.stages };
}

/** The pipeline's map with defaults filled in and paths absolute. */
export function resolved({ settings, stages }: Pipeline): Record<string, unknown> {
  const { operators, ...rest } = settings;
  return { ...rest, ...(operators.length > 0 && { operators }), stages: stages.map(({ name, options }) => ({ [name]: options })) };
}

/** The pipeline as YAML that reads back to the same. */
export function resolvedYaml(pipeline: Pipeline): string {
  return stringify({ [pipeline.name]: resolved(pipeline) });
}

function readOverrides(set: readonly string[], map: unknown): { overrides: Override[]; lines: string[] } {
  const names = stageEntries(valueAt(map, ['stages'])).map(([name]) => name);
  const overrides: Override[] = [];
  const lines: string[] = [];
  for (const text of set) {
    try {
      overrides.push(readOverride(text, Object.keys(Settings.shape), names));
    } catch (error) {
      lines.push(messageOf(error));
    }
  }
  return { overrides, lines };
}

/** The last override that wrote the value at `path`, or something around it. */
function overriding(overrides: readonly Override[], path: Path): Override | undefined {
  return overrides.findLast((override) => override.path.every((step, depth) => String(step) === String(path[depth])));
}

function place({ document, path }: Picked, overrides: readonly Override[], complaint: Complaint): string {
  return overriding(overrides, complaint.path)?.typed ?? document.at([...path, ...complaint.path], complaint.part);
}

/** In the order of the file. */
function inOrder(complaints: readonly Complaint[], { document, path }: Picked): Complaint[] {
  const offset = (complaint: Complaint): number => document.offset([...path, ...complaint.path], complaint.part);
  return complaints.toSorted((a, b) => offset(a) - offset(b));
}
