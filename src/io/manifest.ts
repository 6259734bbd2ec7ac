import { open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';

import { DataError, messageOf } from '../errors.js';
import { noRoom } from './whole-file.js';

const Shard = z.object({
  /** Its name in the folder. */
  file: z.string(),
  rows: z.int().min(0),
  bytes: z.int().min(0),
  sha256: z.string(),
});
/** A sealed shard, which never changes. */
export type Shard = z.output<typeof Shard>;

export const Manifest = z.object({
  /** In the order of their rows. */
  shards: z.array(Shard),
  /** Final name of the shard being written; it ends in `.partial` until it is sealed. */
  open: z.string().nullable(),
});
/** Contents of a folder of rows. A truncated stream can look complete, so readers trust only this list. */
export type Manifest = z.output<typeof Manifest>;

/**
 * The manifest of a folder of rows.
 *
 * @throws {DataError} if there is none, or it cannot be read.
 */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, 'manifest.json');
  try {
    return Manifest.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    throw new DataError(`${path}  rows: expected a manifest of sealed shards; got ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Replaces a folder's manifest. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await replaceJson(join(folder, 'manifest.json'), manifest);
}

/**
 * Writes a file under another name and renames it once it is on disk: readers see either the old or the new file.
 *
 * @throws {Error} naming the file.
 */
export async function replaceJson(path: string, value: unknown): Promise<void> {
  await replaced(path, `${JSON.stringify(value, null, 2)}\n`).catch(noRoom(path, 'a file'));
}

async function replaced(path: string, text: string): Promise<void> {
  const file = await open(`${path}.partial`, 'w');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.partial`, path);
  await syncFolder(dirname(path));
}

/** Syncs a file's bytes to disk. */
export async function syncFile(file: string): Promise<void> {
  // Windows syncs only what may be written to; elsewhere a copied file may be read-only.
  const handle = await open(file, process.platform === 'win32' ? 'r+' : 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Syncs names in a folder to disk. Windows has no such call. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
