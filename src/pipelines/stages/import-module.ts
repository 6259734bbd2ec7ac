import { pathToFileURL } from 'node:url';

import { messageOf, shown, UsageError } from '../../errors.js';

/** What a module of the caller's exports, by name. @throws {UsageError} if it does not load. */
export async function importModule(file: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>;
  } catch (error) {
    throw new UsageError(`expected a module that loads; got ${messageOf(error)} in ${shown(file)}`, { cause: error });
  }
}
