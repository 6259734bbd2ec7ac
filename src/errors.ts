import { relative } from 'node:path';
import { inspect } from 'node:util';

/** The caller's mistake (YAML, flags, files named): refused before any work; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** A datum that cannot be used (truncated image, mask of another size): marks its row. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/** A model that cannot be opened or run: wrong checkpoint, failed session. */
export class ModelError extends Error {
  override readonly name: string = 'ModelError';
}

/** A non-finite reward, log-prob, loss or gradient: costs a step, not the run. */
export class NonFiniteError extends ModelError {
  override readonly name: string = 'NonFiniteError';
  /** Faults of single rows, by id; none if the whole step is at fault. */
  readonly rows: ReadonlyMap<string, string>;

  constructor(message: string, rows: ReadonlyMap<string, string> = new Map()) {
    super(message);
    this.rows = rows;
  }
}

/** A device, or this machine, has no room for what a run needs; smaller runs may fit. */
export class OutOfMemoryError extends ModelError {
  override readonly name: string = 'OutOfMemoryError';
  /** The failed request, if known. */
  readonly bytes: number | undefined;

  constructor(message: string, bytes?: number, options?: ErrorOptions) {
    super(message, options);
    this.bytes = bytes;
  }
}

/** The message of `error`, without a stack; any thrown value is accepted. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message;
  return typeof error === 'string' ? error : shown(error);
}

/** `value` for a message: JSON if it is data, else as JavaScript shows it; cut at 80 characters, credentials hidden. */
export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : textOf(value);
  return cut(withoutCredentials(text.slice(0, 1 << 12)));
}

function textOf(value: unknown): string {
  try {
    if (typeof value === 'function') return 'function';
    if (isData(value)) return JSON.stringify(value);
    return inspect(value, { depth: 1, breakLength: Infinity, compact: true, maxArrayLength: 8, maxStringLength: 80 });
  } catch {
    // Its own code ran, and threw.
    return typeof value;
  }
}

const MOST_DEEP = 20;

/** Whether JSON has the value, and everything in it. */
function isData(value: unknown, within: readonly unknown[] = []): boolean {
  if (value === null || ['string', 'boolean'].includes(typeof value)) return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || within.length > MOST_DEEP || within.includes(value)) return false;
  const plain =
    Array.isArray(value) || [Object.prototype, null].includes(Object.getPrototypeOf(value) as object | null);
  return plain && Object.values(value).every((one) => one === undefined || isData(one, [...within, value]));
}

/** At most 80 characters of a text. */
export function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Name and password of an address, and keys in the forms that their issuers give them. */
const CREDENTIALS = new RegExp(
  [
    String.raw`(?<=\b[a-zA-Z][a-zA-Z\d+.-]+:\/\/?)[^\s/?#"']+(?=@)`,
    String.raw`\b(?:sk|pk|rk)[-_](?:[\w-]*[-_])?[a-zA-Z\d]{20,}[\w-]*`,
    String.raw`\b(?:hf_|gh[opsu]_)[a-zA-Z\d]{30,}`,
    String.raw`\b(?:AIza|glpat-)[\w-]{20,}`,
    String.raw`\bgithub_pat_\w{20,}`,
    String.raw`\bxox[abposr]-[\w-]{20,}`,
    String.raw`\bAKIA[A-Z\d]{16}\b`,
    String.raw`\beyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?`,
    String.raw`\b[Bb]earer\s+[\w.~+/-]{20,}=*`,
  ].join('|'),
  'g',
);

/** Text with what looks like a key or a password replaced by `[hidden]`. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(CREDENTIALS, '[hidden]');
}

/** `file` as one would write it in this folder. */
export function shortPath(file: string): string {
  const short = relative(process.cwd(), file) || '.';
  return short.startsWith('..') ? file : short;
}
