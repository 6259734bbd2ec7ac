import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { z } from 'zod';

import { DataError, messageOf } from '../errors.js';
import { replaceJson, syncFile, syncFolder } from './manifest.js';

/** The file that seals a folder. */
export const SEAL = 'state.json';

/** Record of a file when its folder was sealed. */
const Sealed = z.object({
  files: z.record(z.string(), z.object({ bytes: z.int().min(0), sha256: z.string() })),
  sha256: z.string(),
});

/**
 * Makes `folder` of the files in `fresh` and in folders there, with `state.json` that holds `state`, every file's bytes
 * and SHA-256, and its own.
 *
 * Everything is on disk before the folder has its name; the folder must not exist.
 */
export async function sealFolder(fresh: string, folder: string, state: object): Promise<void> {
  const files: Record<string, { bytes: number; sha256: string }> = {};
  for (const name of (await readdir(fresh, { recursive: true })).toSorted()) {
    const file = join(fresh, name);
    const found = await stat(file);
    if (found.isDirectory()) {
      await syncFolder(file);
      continue;
    }
    await syncFile(file);
    files[name] = { bytes: found.size, sha256: await sha256Of(file) };
  }
  const sealed = { ...state, files };
  await replaceJson(join(fresh, SEAL), { ...sealed, sha256: digest(sealed) });
  await rename(fresh, folder);
  await syncFolder(dirname(folder));
}

/** The state in a sealed folder's file. @throws {DataError} if there is none. */
export async function readSeal(folder: string): Promise<unknown> {
  const file = join(folder, SEAL);
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new DataError(`${file}  expected the state of a checkpoint; got ${messageOf(error)}`, { cause: error });
  }
}

/** @throws {DataError} naming the first changed file of a sealed folder. */
export async function checkSeal(folder: string): Promise<void> {
  const read = await readSeal(folder);
  const seal = Sealed.safeParse(read);
  if (!seal.success)
    throw new DataError(`${join(folder, SEAL)}  expected bytes and SHA-256 of each file, and its own; got none`);
  const { sha256: own, ...state } = read as { sha256: string };
  if (digest(state) !== own)
    throw new DataError(`${join(folder, SEAL)}  SHA-256: expected ${own}, as it says itself; got ${digest(state)}`);
  for (const [name, { bytes, sha256 }] of Object.entries(seal.data.files)) {
    const file = join(folder, name);
    const size = await stat(file).then(
      (found) => found.size,
      () => undefined,
    );
    if (size !== bytes)
      throw new DataError(`${file}  expected ${bytes} bytes, as ${SEAL} has it; got ${size ?? 'no such file'}`);
    const found = await sha256Of(file).catch((error: unknown) => {
      throw new DataError(`${file}  expected a file that can be read; got ${messageOf(error)}`, { cause: error });
    });
    if (found !== sha256) throw new DataError(`${file}  SHA-256: expected ${sha256}, as ${SEAL} has it; got ${found}`);
  }
}

/** SHA-256 of bytes, or of a value as JSON has it, in hexadecimal digits. */
export function digest(value: object): string {
  return createHash('sha256')
    .update(value instanceof Uint8Array ? value : JSON.stringify(value))
    .digest('hex');
}

/** Removes a folder so that it is either whole or gone. */
export async function dropFolder(folder: string): Promise<void> {
  const gone = `${folder}.partial`;
  await rm(gone, { recursive: true, force: true });
  await rename(folder, gone);
  await rm(gone, { recursive: true, force: true });
}

/** SHA-256 of a file, in hexadecimal digits. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
