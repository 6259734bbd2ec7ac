import { withoutCredentials } from '../../errors.js';
import { addressFault } from '../../models/server/chat-client.js';
import { valueAt } from './schema-paths.js';
import { stageEntries } from './overrides.js';
import type { Issue } from './issues.js';
import type { Path } from './yaml-source.js';

/** Names under which nothing else is written. */
const SECRET =
  /^((api|access|secret|private)[-_]?(key|token)|secret|pass(word|wd|phrase)|authorization|bearer|credentials?)$/i;
const VARIABLE = /^[A-Z_][A-Z0-9_]*$/;
/** Shorter ones are placeholders, such as `EMPTY`. */
const SHORTEST = 8;

/**
 * Credentials that are written into a pipeline: what looks like one, stands under a name for one, or is the key that an
 * endpoint's variable holds. A run keeps its pipeline, so they are refused, unrepeated.
 */
export function writtenCredentials(map: unknown): Issue[] {
  const keys = keysOf(map);
  return leaves(map).flatMap(({ path, text }) => {
    const [above, own] = [path.at(-2), String(path.at(-1))];
    // An endpoint refuses these itself; names of functions are anybody's.
    if (above === 'endpoint' && (own === 'key' || (own === 'url' && addressFault(text) !== undefined))) return [];
    if (above === 'functions') return [];
    const found =
      withoutCredentials(text) !== text ||
      keys.some((key) => text.includes(key)) ||
      (SECRET.test(own) && !VARIABLE.test(text));
    const what = 'expected no key or password, for a run keeps its pipeline; got what looks like one';
    return found ? [{ path, text: `${nameOf(path)}: ${what}; way out: an environment variable that holds it` }] : [];
  });
}

/** As in messages: options of a stage begin with its name. */
function nameOf(path: Path): string {
  return (path[0] === 'stages' ? path.slice(2) : path).join('.') || 'stages';
}

/** A message about a pipeline without the keys that its endpoints' variables hold, and without what looks like one. */
export function withoutKeysOf(map: unknown): (line: string) => string {
  const keys = keysOf(map);
  return (line) => keys.reduce((text, key) => text.replaceAll(key, '[hidden]'), withoutCredentials(line));
}

/** What the variables hold that the pipeline's endpoints name. */
function keysOf(map: unknown): string[] {
  return stageEntries(valueAt(map, ['stages'])).flatMap(([, options]) => {
    const name = valueAt(options, ['endpoint', 'key']);
    const key = typeof name === 'string' && VARIABLE.test(name) ? process.env[name]?.trim() : undefined;
    return key !== undefined && key.length >= SHORTEST ? [key] : [];
  });
}

function leaves(value: unknown, path: Path = [], above: readonly unknown[] = []): { path: Path; text: string }[] {
  if (typeof value === 'string') return [{ path, text: value }];
  if (value === null || typeof value !== 'object' || above.includes(value)) return [];
  const entries = Array.isArray(value) ? value.map((one, at) => [at, one] as const) : Object.entries(value);
  return entries.flatMap(([key, below]) => leaves(below, [...path, key], [...above, value]));
}
