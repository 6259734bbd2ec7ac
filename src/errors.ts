import { relative } from 'node:path';

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
  return error instanceof Error ? error.message : String(error);
}

/** `value` for a message: JSON if possible, cut at 80 characters, credentials hidden. */
export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : (JSON.stringify(value) ?? typeof value);
  return cut(withoutCredentials(text.slice(0, 1 << 12)));
}

/** At most 80 characters of a text. */
export function cut(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** Keys by the forms that their issuers give them, and name and password of an address. */
const CREDENTIALS =
  /(?<=\b[a-z][a-z\d+.-]*:\/\/)[^\s/?#"']+(?=@)|\b(?:sk|pk|rk)-[\w-]{16,}|\b(?:hf_|gh[opsu]_|github_pat_|glpat-|xox[abposr]-|AIza|AKIA)[\w-]{12,}|\beyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?|\bBearer\s+[\w.~+/-]{8,}=*/gi;

/** Text with what looks like a key or a password replaced by `[hidden]`. */
export function withoutCredentials(text: string): string {
  return text.replaceAll(CREDENTIALS, '[hidden]');
}

/** `file` as one would write it in this folder. */
export function shortPath(file: string): string {
  const short = relative(process.cwd(), file) || '.';
  return short.startsWith('..') ? file : short;
}
