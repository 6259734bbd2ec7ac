import type { z } from 'zod';

import { shown } from '../../errors.js';
import { isPrivate } from './private-options.js';
import { branchesOf, knownKeys, schemaAt, valueAt } from './schema-paths.js';
import type { Path } from './yaml-source.js';
import { knownNames } from '../../nearest.js';

/** One mistake in a file: where, and what to say about it. */
export interface Issue {
  readonly path: Path;
  /** Point at the key rather than at the value. */
  readonly part?: 'key' | 'value';
  readonly text: string;
}

type ZodIssue = z.core.$ZodIssue;

/** A value as its schema reads it, or else what is wrong with it. */
export type Parsed<Output> =
  | { readonly success: true; readonly data: Output; readonly issues: readonly Issue[] }
  | { readonly success: false; readonly issues: readonly Issue[] };

/**
 * Reads a value; schema errors are worded in this project's grammar.
 *
 * @param subject how the value is called: `advantage` gives `advantage.scale: expected …`; empty at the top of a file.
 */
export function parseWith<Output>(schema: z.ZodType<Output>, value: unknown, subject: string): Parsed<Output> {
  const result = schema.safeParse(value);
  if (result.success) return { success: true, data: result.data, issues: [] };
  const issues = result.error.issues.flatMap((issue) => issuesIn(issue, [], schema, value, subject));
  return { success: false, issues };
}

/**
 * A value without what is wrong with it, so that the rest can be checked too; undefined where the schema reads nothing
 * of it.
 */
export function readablePart<Output>(schema: z.ZodType<Output>, value: unknown): Output | undefined {
  let rest = value;
  for (let tries = 0; tries < 4; tries++) {
    const result = schema.safeParse(rest);
    if (result.success) return result.data;
    rest = result.error.issues.reduce((left, { path, ...issue }) => {
      const at = path.map((step) => (typeof step === 'symbol' ? String(step) : step));
      if (issue.code !== 'unrecognized_keys') return taken(left, at);
      return issue.keys.reduce((less, key) => taken(less, [...at, key]), left);
    }, rest);
  }
  return undefined;
}

/** A value without what stands at a path, or, where nothing does, without what is around it. */
function taken(value: unknown, path: Path): unknown {
  const [first, ...rest] = path as [string | number, ...Path];
  if (value === null || typeof value !== 'object' || path.length === 0) return undefined;
  if (Array.isArray(value) || !Object.hasOwn(value, first)) return undefined;
  const { [first]: below, ...others } = value as Record<string, unknown>;
  const left = rest.length === 0 ? undefined : taken(below, rest);
  return left === undefined ? others : { ...others, [first]: left };
}

/** Keys that have another name now, by the subject that had them. */
const RENAMED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  update: { refill: 'dynamicSampling' },
  tally: { constants: 'constantBaseline', anotherScene: 'shuffledImageBaseline' },
  policy: { recompute: 'gradientCheckpointing' },
};

/** @param schema of what stands at `above`, to which the issue's own path is relative. */
function issuesIn(issue: ZodIssue, above: Path, schema: z.ZodType, value: unknown, subject: string): Issue[] {
  const own = issue.path.map((step) => (typeof step === 'symbol' ? String(step) : step));
  const path: Path = [...above, ...own];
  const name = [...(subject ? [subject] : []), ...path].join('.') || 'pipeline';
  const here = schemaAt(schema, own, valueAt(value, above));
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(key, path, name, knownKeys(here)));
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const likely = closest(issue.errors);
    const branch = branchesOf(here)[likely] ?? schema;
    return issue.errors[likely].flatMap((inner) => issuesIn(inner, path, branch, value, subject));
  }
  return [{ path, text: sentence(name, issue, isPrivate(path) ? 'something else' : shown(valueAt(value, path))) }];
}

function sentence(name: string, issue: ZodIssue, got: string): string {
  const wanted = wantedBy(issue);
  if (wanted !== undefined) return `${name}: expected ${wanted}; got ${got}`;
  return issue.message.includes('; got ') ? `${name}: ${issue.message}` : `${name}: ${issue.message}; got ${got}`;
}

/** What was expected; undefined if the schema has its own message. */
function wantedBy(issue: ZodIssue): string | undefined {
  if (issue.code === 'invalid_type') return kindOf(issue);
  if (issue.code === 'invalid_value') return choice(issue.values);
  if (issue.code === 'too_small')
    return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${units(issue.origin)}`;
  if (issue.code === 'too_big')
    return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${units(issue.origin)}`;
  if (issue.code !== 'invalid_union') return undefined;
  const options = (issue as { options?: readonly unknown[] }).options ?? [];
  return options.length > 0 ? choice(options) : 'another value';
}

function unknownKey(key: string, path: Path, name: string, known: readonly string[]): Issue {
  const now = RENAMED[name]?.[key];
  const help =
    now !== undefined && known.includes(now) ? `way out: ${now}, as it is called now` : knownNames(key, known);
  return { path: [...path, key], part: 'key', text: `${name} has no option ${JSON.stringify(key)}; ${help}` };
}

/**
 * The branch of a union that was most likely meant: of the value's kind, with fewest unknown keys, then fewest issues.
 */
function closest(errors: readonly (readonly ZodIssue[])[]): number {
  const weight = (issue: ZodIssue): number => {
    if (issue.code === 'unrecognized_keys') return 100 * issue.keys.length;
    return issue.code === 'invalid_type' && issue.path.length === 0 ? 10_000 : 1;
  };
  const weights = errors.map((issues) => issues.reduce((sum, issue) => sum + weight(issue), 0));
  return weights.indexOf(Math.min(...weights));
}

/** What YAML calls them. */
const KINDS: Readonly<Record<string, string>> = { object: 'map', array: 'list', record: 'map' };

function kindOf(issue: z.core.$ZodIssueInvalidType): string {
  const integer = issue.expected === 'int' || (issue as { format?: string }).format === 'safeint';
  const kind = integer ? 'integer' : (KINDS[issue.expected] ?? issue.expected);
  return /^[aeio]/.test(kind) ? `an ${kind}` : `a ${kind}`;
}

function choice(values: readonly unknown[]): string {
  const list = values.map((value) => JSON.stringify(value) ?? String(value)).join('|');
  return values.length > 1 ? `one of ${list}` : list;
}

function units(origin: string): string {
  return { array: ' items', string: ' characters', set: ' items' }[origin] ?? '';
}
