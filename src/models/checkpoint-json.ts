/** The JSON files of a checkpoint folder. */
import { readFile, stat } from 'node:fs/promises';

import type { z } from 'zod';

import { messageOf, ModelError, shown } from '../errors.js';
import { parseJson } from '../io/text.js';

/** A parsed JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** Bytes of a file: the largest tokenizers take a tenth of it. */
const MOST = 400_000_000;

/** Objects and lists in each other: those of real files are ten deep. */
const DEEPEST = 100;

/** True of a JSON object, false of a list or null. */
export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Reads a JSON object of a checkpoint folder.
 *
 * @param absent default if the file is missing; without it a missing file is refused.
 * @throws {ModelError} if the file can't be read, is larger or nested deeper than any such file, or holds something
 *   else.
 */
export async function readJson(file: string, absent?: Json): Promise<Json> {
  let text: string;
  try {
    const { size } = await stat(file);
    if (size > MOST) throw new Error(`${size} bytes`);
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (absent && isObject(error) && error['code'] === 'ENOENT') return absent;
    throw new ModelError(`${file}  checkpoint: expected a readable file; got ${messageOf(error)}`);
  }
  try {
    const value: unknown = parseJson(text);
    if (goesDeeper(value, DEEPEST)) throw new Error(`more than ${DEEPEST} objects and lists in each other`);
    if (isObject(value)) return value;
  } catch (error) {
    throw new ModelError(`${file}  checkpoint: expected JSON; got ${messageOf(error)}`);
  }
  throw new ModelError(`${file}  checkpoint: expected a JSON object; got ${shown(text)}`);
}

/**
 * `value` as the schema reads it; each schema's message says what it expected, and may end in a way out. A key that is
 * null counts as absent: Python's libraries write null for what has no value.
 *
 * @param prefix stands before the key in a message, for a part of a file.
 * @throws {ModelError} naming file, key, expected and got.
 */
export function check<S extends z.ZodType>(schema: S, value: unknown, file: string, prefix = ''): z.output<S> {
  const result = schema.safeParse(withoutNulls(value));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  let got: unknown = value;
  for (const key of issue.path)
    got = isObject(got) || Array.isArray(got) ? (got as Record<PropertyKey, unknown>)[key] : undefined;
  const where = `${prefix}${issue.path.map(String).join('.')}`.replace(/\.$/, '');
  const [expected = '', wayOut] = issue.message.replace(/^[A-Z][a-z ]+: expected /, '').split('; way out: ');
  const way = wayOut === undefined ? '' : `; way out: ${wayOut}`;
  throw new ModelError(`${file}  ${where}: expected ${expected}; got ${shown(got)}${way}`);
}

function goesDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((part) => goesDeeper(part, levels - 1));
}

/** An object, and those in it, without keys that are null. */
export function withoutNulls(value: unknown): unknown {
  if (!isObject(value)) return value;
  const some = Object.entries(value).filter(([, held]) => held !== null);
  return Object.fromEntries(some.map(([key, held]) => [key, withoutNulls(held)]));
}
