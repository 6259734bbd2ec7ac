import { shown, UsageError } from '../errors.js';

/** An option's text; undefined if not given. @throws {UsageError} if it is given twice. */
export function once(value: unknown, option: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new UsageError(`--${option}: expected it once; got ${shown(value)}`);
}

/** @throws {UsageError} for anything but a whole number of at least 1. */
export function wholeNumber(text: string, option: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw new UsageError(`--${option}: expected a whole number of at least 1; got ${shown(text)}`);
}
