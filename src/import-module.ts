import { pathToFileURL } from 'node:url';

import { messageOf, UsageError } from './errors.js';

/**
 * The exports of a user's module, by name.
 *
 * @param file an absolute path, or a `file:` URL.
 * @throws {UsageError} if it does not load.
 */
export async function importModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(file.startsWith('file:') ? file : pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`expected a module that loads; got ${messageOf(error)} in ${JSON.stringify(file)}`, {
      cause: error,
    });
  }
}
