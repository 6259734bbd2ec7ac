import { createHash } from 'node:crypto';
import { lstatSync, type Stats } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { syncFile, syncFolder } from './manifest.js';
import { noRoom } from './whole-file.js';

/**
 * The entry at a path, links not followed; undefined if there is none. A link counts as an entry, also a dangling one.
 */
export function kindAt(path: string): 'file' | 'folder' | 'link' | 'device' | undefined {
  const found = existing(path);
  if (!found) return undefined;
  if (found.isFile()) return 'file';
  return found.isDirectory() ? 'folder' : found.isSymbolicLink() ? 'link' : 'device';
}

function existing(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // Behind a file there is nothing, either.
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Equal for two file names that some file system treats as one: case and Unicode normalisation are ignored. */
export function foldName(name: string): string {
  return name.normalize('NFC').toUpperCase().toLowerCase().normalize('NFC');
}

/**
 * Writes a file into a user's folder: it appears whole or not at all, and no other file is touched.
 *
 * A file of that name is replaced; the caller has checked that it may be.
 *
 * @param lasting waits until file and name are synced to disk.
 * @throws {Error} naming the file; nothing is left of it then.
 */
export async function putFile(
  file: string,
  data: string | Uint8Array,
  { lasting = false }: { readonly lasting?: boolean } = {},
): Promise<void> {
  const temporary = temporaryName(file, data);
  try {
    await writeFile(temporary, data);
    if (lasting) await syncFile(temporary);
    await rename(temporary, file);
    if (lasting) await syncFolder(dirname(file));
  } catch (error) {
    await rm(temporary, { force: true });
    noRoom(file, 'a file')(error);
  }
}

/**
 * The name of a file until it is complete. It has the SHA-256 of the file's name and bytes: no user's file has it, and
 * a killed command that runs again reuses it instead of leaving another behind.
 */
export function temporaryName(file: string, data: string | Uint8Array): string {
  const digest = createHash('sha256')
    .update(`${basename(file)}\0`)
    .update(data)
    .digest('hex');
  return join(dirname(file), `.segr1-${digest.slice(0, 32)}.partial`);
}
