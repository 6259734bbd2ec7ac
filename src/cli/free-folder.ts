import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

import { messageOf, shortPath, UsageError } from '../errors.js';
import { kindAt } from '../io/user-files.js';

/**
 * The absolute path of a folder that a command makes.
 *
 * @throws {UsageError} if anything but an empty folder is there, or it can't be written to.
 */
export function freeFolder(path: string, option: string): string {
  const folder = resolve(path);
  const got = inPlaceOf(folder);
  if (got !== undefined)
    throw new UsageError(
      `${shortPath(folder)}  --${option}: expected a new or empty folder; got ${got}; way out: another folder`,
    );
  refuseReadOnly(folder, option);
  return folder;
}

/** @throws {UsageError} if a folder can't be written to; one that is not there yet, if it can't be made. */
export function refuseReadOnly(folder: string, option: string): void {
  let there = folder;
  while (kindAt(there) === undefined) there = dirname(there);
  // What is no folder is told by who takes it for one.
  if (!statSync(there, { throwIfNoEntry: false })?.isDirectory()) return;
  try {
    accessSync(there, constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new UsageError(
      `${shortPath(folder)}  --${option}: expected a folder that can be written to; got ${messageOf(error)}; way out: another folder`,
      { cause: error },
    );
  }
}

function inPlaceOf(folder: string): string | undefined {
  if (kindAt(folder) === undefined) return undefined;
  const found = statSync(folder, { throwIfNoEntry: false });
  if (!found) return 'a link to nothing';
  if (!found.isDirectory()) return 'a file';
  return readdirSync(folder).length > 0 ? 'one with files in it' : undefined;
}
