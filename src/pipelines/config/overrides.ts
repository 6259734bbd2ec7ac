import { isScalar, parseDocument } from 'yaml';

import { messageOf, shown, UsageError, withoutCredentials } from '../../errors.js';
import type { Issue } from './issues.js';
import { isPrivate } from './private-options.js';
import { valueAt } from './schema-paths.js';
import { readYaml, type Path } from './yaml-source.js';
import { knownNames } from '../../nearest.js';

/** One `--set key=value` of the command line: where it goes in the pipeline's map, and what goes there. */
export interface Override {
  readonly path: Path;
  readonly value: unknown;
  /** As it was typed, for messages. */
  readonly typed: string;
}

type Stages = readonly (readonly [name: string, options: unknown])[];

/**
 * Turns `rollout.group=16` into a place: the first word is a key of the pipeline, or the name of one of its stages.
 *
 * @param keys of the pipeline itself (`seed`, `segmenter` …).
 * @param stages names of the stages in order.
 * @throws {UsageError} if the text has no `=`, the value is not YAML, or the first word names neither; or two stages.
 */
export function readOverride(text: string, keys: readonly string[], stages: readonly string[]): Override {
  const equals = text.indexOf('=');
  const hidden = isPrivate(text.slice(0, Math.max(0, equals)).split('.'));
  const typed = `--set ${hidden ? `${text.slice(0, equals)}=…` : withoutCredentials(text)}`;
  if (equals < 1)
    throw new UsageError(
      `${typed}  expected key=value; got ${JSON.stringify(withoutCredentials(text))}; way out: --set rollout.group=16`,
    );
  const words = text.slice(0, equals).split('.');
  const value = readValue(text.slice(equals + 1), typed, hidden);
  const [first, ...rest] = words as [string, ...string[]];
  if (keys.includes(first) && first !== 'stages') return { path: [first, ...rest.map(step)], value, typed };
  const at = stages.indexOf(first);
  if (at < 0) {
    const known = [...stages, ...keys.filter((key) => key !== 'stages')];
    throw new UsageError(
      `${typed}  this pipeline has no stage and no key ${JSON.stringify(first)}; ${knownNames(first, known)}`,
    );
  }
  if (stages.lastIndexOf(first) !== at)
    throw new UsageError(`${typed}  ${first}: expected one stage of this name; got several; way out: change the file`);
  return { path: ['stages', at, first, ...rest.map(step)], value, typed };
}

/**
 * The pipeline's map with the overrides in it, the last one winning; the given map stays as it is.
 *
 * Bare stage names become maps where an option is set. A segmenter of another kind or module starts without the old
 * one's options, wherever it is set.
 */
export function applied(pipeline: unknown, overrides: readonly Override[]): unknown {
  const [kinds, others] = [overrides.filter(setsKind), overrides.filter((one) => !setsKind(one))];
  const chosen = kinds.reduce((map, { path: [model, key], value }) => {
    const same = valueAt(map, [model, key]) === value;
    return same ? map : put(map, [model], { [key]: value });
  }, pipeline);
  return others.reduce((map, { path, value }) => put(map, path, value), chosen);
}

/** Keys that overrides set to null where null is no value: they are to be absent, and have their defaults. */
export function clearedKeys(overrides: readonly Override[], issues: readonly Issue[]): Path[] {
  const refused = new Set(issues.filter(({ part }) => part !== 'key').map(({ path }) => JSON.stringify(path)));
  return overrides
    .filter(({ path, value }) => value === null && refused.has(JSON.stringify(path)))
    .map(({ path }) => path);
}

/** A pipeline's map without some of its keys. */
export function withoutKeys(pipeline: unknown, paths: readonly Path[]): unknown {
  return paths.reduce((map, path) => {
    const { [String(path.at(-1))]: _, ...rest } = (valueAt(map, path.slice(0, -1)) ?? {}) as Record<string, unknown>;
    return put(map, path.slice(0, -1), rest);
  }, pipeline);
}

function setsKind({ path }: Override): boolean {
  return path.join('.') === 'segmenter.kind' || path.join('.') === 'segmenter.module';
}

/**
 * Names and raw options of the stages of a pipeline's map; an entry that is neither a name nor a map of one key has the
 * name ''.
 */
export function stageEntries(stages: unknown): Stages {
  if (!Array.isArray(stages)) return [];
  return stages.map((entry: unknown) => {
    if (typeof entry === 'string') return [entry, {}] as const;
    const pairs = entry !== null && typeof entry === 'object' && !Array.isArray(entry) ? Object.entries(entry) : [];
    const [pair] = pairs;
    return pair && pairs.length === 1 ? ([pair[0], pair[1] ?? {}] as const) : (['', undefined] as const);
  });
}

function put(at: unknown, path: Path, value: unknown): unknown {
  if (path.length === 0) return value;
  const [first, ...rest] = path as [string | number, ...Path];
  if (Array.isArray(at) && typeof first === 'number' && first <= at.length)
    return at.toSpliced(first, 1, put(at[first], rest, value));
  const map: Record<string, unknown> = at !== null && typeof at === 'object' && !Array.isArray(at) ? { ...at } : {};
  return { ...map, [first]: put(Object.hasOwn(map, first) ? map[first] : undefined, rest, value) };
}

function step(word: string): string | number {
  return /^\d+$/.test(word) ? Number(word) : word;
}

/**
 * A list, a map or text in quotes is YAML; anything else is one word of it, such as `true` or `1e-6`, or text as it was
 * typed: `*.png`.
 */
function readValue(text: string, typed: string, hidden: boolean): unknown {
  const [key = ''] = typed.split('=', 1);
  const trimmed = text.trim();
  if (trimmed === '')
    throw new UsageError(`${typed}  value: expected one; got nothing; way out: '${key.slice(6)}=""' for an empty text`);
  if (!/^["'[{]/.test(trimmed)) return plainWord(trimmed);
  try {
    return readYaml(text);
  } catch (error) {
    const got = hidden ? 'something else' : `${shown(text)} (${messageOf(error)})`;
    throw new UsageError(
      `${typed}  value: expected YAML; got ${got}; way out: text with such signs stands in quotes of its own, '${key.slice(6)}="…"'`,
    );
  }
}

function plainWord(text: string): unknown {
  if (!/^[\w.+~-]+$/.test(text)) return text;
  const { contents } = parseDocument(text);
  return isScalar(contents) && contents.source === text ? contents.value : text;
}
