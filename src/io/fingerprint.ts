/** What files hold, in a few digits: enough to tell that one was changed for another. */
import { createHash, type Hash } from 'node:crypto';
import { open, readdir, stat, type FileHandle } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { DataError, messageOf, shortPath } from '../errors.js';
import { readHeader } from './safetensors-header.js';

/** Up to here, all bytes count. */
const WHOLE = 64e6;
/** Bytes of a sample. */
const BLOCK = 4096;
/** Samples of a large file that holds no tensors by name. */
const SAMPLES = 4096;

/**
 * A file's fingerprint, 64 hexadecimal digits. All bytes of a file of at most 64 MB; of a larger one its size and
 * samples of 4 KB: the middle of every tensor of a safetensors file, with its header, and 4,096 others of any file. A
 * change of single numbers in a large file may go unseen; other weights don't.
 *
 * @throws {DataError} if it can't be read.
 */
export function fingerprint(file: string): Promise<string> {
  return digest(file, async (handle, size, hash) => {
    if (size <= WHOLE) return await all(handle, size, hash);
    if (file.endsWith('.safetensors')) {
      const { tensors } = await readHeader(file);
      for (const [name, { dtype, shape, offset, bytes }] of tensors) {
        hash.update(JSON.stringify([name, dtype, shape, offset]));
        await sample(handle, offset + Math.max(0, Math.floor((bytes - BLOCK) / 2)), Math.min(BLOCK, bytes), hash);
      }
    }
    for (let i = 0; i < SAMPLES; i++)
      await sample(handle, Math.floor((i * (size - BLOCK)) / (SAMPLES - 1)), BLOCK, hash);
  });
}

/**
 * The fingerprint of many small files, such as pictures: of each its size, and 4 KB at its start, middle and end. One
 * that can't be read counts as such: its row is marked later.
 */
export async function fingerprintOfAll(files: readonly string[]): Promise<string> {
  const found = Array.from<string>({ length: files.length });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < files.length; at = next++)
      found[at] = await digest(files[at], async (handle, size, hash) => {
        if (size <= 3 * BLOCK) return await all(handle, size, hash);
        for (const start of [0, Math.floor((size - BLOCK) / 2), size - BLOCK]) await sample(handle, start, BLOCK, hash);
      }).catch(() => 'unreadable');
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return hashOf(found);
}

/**
 * Fingerprints of a file, or of the files of a folder together, folders inside it left out: how many, their names, and
 * what is in them.
 *
 * @throws {DataError} if a file, or the folder, can't be read.
 */
export async function fingerprintsOfFiles(path: string): Promise<Record<string, string>> {
  if (!(await isFolder(path))) return { [basename(path)]: await fingerprint(path) };
  const entries = await readdir(path, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name);
  const files = names.toSorted().map((name) => join(path, name));
  return {
    'files, their number': String(files.length),
    'files by name': hashOf(names.toSorted()),
    'what is in files': await fingerprintOfAll(files),
  };
}

/** Of text, or a value as JSON. */
export function hashOf(value: unknown): string {
  return createHash('sha256')
    .update(typeof value === 'string' ? value : JSON.stringify(value))
    .digest('hex');
}

/** Files of a model by name: what it is opened from, and nothing that lies beside. */
const OF_MODEL = /\.(json|jinja|txt|model|safetensors|onnx|onnx_data)$/;
/** Folders of such files in a model's folder. */
const WITHIN = ['onnx', 'additional_chat_templates'];

/**
 * Fingerprints by name, of a file, or of the files of a model's folder; links are followed.
 *
 * @throws {DataError} if one can't be read.
 */
export async function fingerprints(path: string): Promise<Record<string, string>> {
  if (!(await isFolder(path))) return { [basename(path)]: await fingerprint(path) };
  const found: Record<string, string> = {};
  const names = (await readdir(path)).toSorted();
  const below = async (folder: string): Promise<string[]> =>
    (await isFolder(join(path, folder))) ? (await readdir(join(path, folder))).toSorted() : [];
  for (const folder of WITHIN)
    if (names.includes(folder)) names.push(...(await below(folder)).map((name) => `${folder}/${name}`));
  for (const name of names)
    if (OF_MODEL.test(name) && !(await isFolder(join(path, name)))) found[name] = await fingerprint(join(path, name));
  return found;
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch((error: unknown) => unreadable(path, error))).isDirectory();
}

async function digest(
  file: string,
  feed: (handle: FileHandle, size: number, hash: Hash) => Promise<void>,
): Promise<string> {
  try {
    // Opening a pipe waits for who writes into it.
    if (!(await stat(file)).isFile()) throw new Error('something else than a file');
    const handle = await open(file);
    try {
      const { size } = await handle.stat();
      const hash = createHash('sha256').update(`${size} `);
      await feed(handle, size, hash);
      return hash.digest('hex');
    } finally {
      await handle.close();
    }
  } catch (error) {
    return unreadable(file, error);
  }
}

function unreadable(file: string, error: unknown): never {
  throw new DataError(`${shortPath(file)}  expected a file that can be read; got ${messageOf(error)}`, {
    cause: error,
  });
}

async function all(handle: FileHandle, size: number, hash: Hash): Promise<void> {
  for (let start = 0; start < size; start += 1 << 20)
    await sample(handle, start, Math.min(1 << 20, size - start), hash);
}

async function sample(handle: FileHandle, start: number, bytes: number, hash: Hash): Promise<void> {
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(bytes), 0, bytes, start);
  hash.update(buffer.subarray(0, bytesRead));
}
