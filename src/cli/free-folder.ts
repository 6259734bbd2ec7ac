import { readdirSync, statSync } from 'node:fs';
import { resolve } from 'node:path';

import { shortPath, UsageError } from '../errors.js';
import { kindAt } from '../io/user-files.js';

/**
 * The absolute path of a folder that a command makes.
 *
 * @throws {UsageError} if anything but an empty folder is there.
 */
export function freeFolder(path: string, option: string): string {
  const folder = resolve(path);
  const got = inPlaceOf(folder);
  if (got !== undefined)
    throw new UsageError(
      `${shortPath(folder)}  --${option}: expected a new or empty folder; got ${got}; way out: another folder`,
    );
  return folder;
}

function inPlaceOf(folder: string): string | undefined {
  if (kindAt(folder) === undefined) return undefined;
  const found = statSync(folder, { throwIfNoEntry: false });
  if (!found) return 'a link to nothing';
  if (!found.isDirectory()) return 'a file';
  return readdirSync(folder).length > 0 ? 'one with files in it' : undefined;
}
