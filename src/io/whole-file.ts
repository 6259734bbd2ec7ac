import { renameSync, rmSync, writeFileSync } from 'node:fs';

import { messageOf } from '../errors.js';

/**
 * Writes a file under another name first: readers see either the old or the new file. @throws {Error} naming the file.
 */
export function writeWhole(file: string, data: string | Uint8Array): void {
  try {
    writeFileSync(`${file}.partial`, data);
    renameSync(`${file}.partial`, file);
  } catch (error) {
    rmSync(`${file}.partial`, { force: true });
    noRoom(file, 'a file')(error);
  }
}

/** Adds the file to the error: for a full disk the system names none. */
export function noRoom(file: string, what: string): (error: unknown) => never {
  return (error) => {
    throw new Error(
      `${file}  writing ${what}: expected a folder with room for ${what.endsWith('s') ? 'them' : 'it'}; got ${messageOf(error)}`,
      { cause: error },
    );
  };
}
