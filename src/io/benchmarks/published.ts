import { readdirSync, readFileSync } from 'node:fs';

import { z } from 'zod';

import { messageOf, UsageError } from '../../errors.js';
import { decodeText, parseJson } from '../text.js';

/**
 * Bytes of a file of a benchmark.
 *
 * @throws {UsageError} if it can't be read.
 */
export function readPublished(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${path}  benchmark: expected a file that can be read; got ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Text of such a file, without a byte order mark. @throws {UsageError} as `readPublished`. */
export function publishedText(path: string): string {
  return decodeText(readPublished(path));
}

/**
 * JSON of a known shape.
 *
 * @param where stands for the text in messages.
 * @throws {UsageError} if it isn't of that shape.
 */
export function readShape<T>(shape: z.ZodType<T>, text: string, where: string): T {
  try {
    return shape.parse(parseJson(text));
  } catch (error) {
    const why =
      error instanceof z.ZodError
        ? `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`
        : messageOf(error);
    throw new UsageError(`${where}  benchmark: expected its questions; got ${why}`, { cause: error });
  }
}

/** Names in a folder, numbers in them by their value; none where there is no such folder. */
export function namesIn(path: string): string[] {
  const order = new Intl.Collator('en', { numeric: true });
  try {
    return readdirSync(path)
      .filter((name) => !name.startsWith('.'))
      .toSorted(order.compare);
  } catch {
    return [];
  }
}
