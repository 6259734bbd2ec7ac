import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createInflateRaw } from 'node:zlib';

import { DataError } from '../errors.js';
import type { FileRecord } from './manifest.js';

/** A file inside a wheel: offset and compression of its bytes. */
export interface Entry {
  readonly name: string;
  readonly bytes: number;
  readonly packed: number;
  /** 0 stored, 8 deflated. */
  readonly method: number;
  /** Offset of its local header. */
  readonly header: number;
}

/**
 * The files of a wheel, which is a zip archive under 4 GB, by its central directory.
 *
 * @throws {DataError} if it is cut off, or no such archive.
 */
export async function readWheel(file: string): Promise<readonly Entry[]> {
  const handle = await open(file, 'r');
  try {
    const { size } = await handle.stat();
    const tail = await bytesAt(handle, Math.max(0, size - 65_557), Math.min(size, 65_557));
    const end = tail.lastIndexOf('PK\x05\x06', undefined, 'latin1');
    if (end < 0 || tail.length < end + 22)
      throw new DataError(`${file}  expected a wheel, whole; got ${size} bytes without a zip archive's end`);
    const [count, length, offset] = [
      tail.readUInt16LE(end + 10),
      tail.readUInt32LE(end + 12),
      tail.readUInt32LE(end + 16),
    ];
    if (offset + length > size)
      throw new DataError(
        `${file}  expected a wheel under 4 GB, whole; got ${size} bytes, and a directory at ${offset}`,
      );
    return entriesOf(await bytesAt(handle, offset, length), count);
  } finally {
    await handle.close();
  }
}

/**
 * Writes a wheel's file to `to`, whose folder is made.
 *
 * @returns a record of the file.
 * @throws {DataError} if it differs from the wheel's own `RECORD`.
 */
export async function unpack(
  wheel: string,
  entry: Entry,
  record: FileRecord | undefined,
  to: string,
): Promise<FileRecord> {
  const hash = createHash('sha256');
  let bytes = 0;
  const counted = new Transform({
    transform(chunk: Buffer, _, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  await mkdir(dirname(to), { recursive: true });
  await inflated(wheel, entry, counted, createWriteStream(to));
  const got = { bytes, sha256: hash.digest('hex') };
  if (record?.sha256 !== got.sha256 || record.bytes !== bytes) {
    throw new DataError(
      `${wheel}  ${entry.name}: expected ${record ? `${record.bytes} bytes, SHA-256 ${record.sha256}` : 'a line of RECORD'}; got ${bytes} bytes, SHA-256 ${got.sha256}`,
    );
  }
  return got;
}

/**
 * The records of a wheel's files, by name, from its `RECORD`.
 *
 * @throws {DataError} if it has none.
 */
export async function readRecord(wheel: string, entries: readonly Entry[]): Promise<ReadonlyMap<string, FileRecord>> {
  const entry = entries.find(({ name }) => /^[^/]+\.dist-info\/RECORD$/.test(name));
  if (!entry) throw new DataError(`${wheel}  expected a wheel with a RECORD; got ${entries.length} files without`);
  const chunks: Buffer[] = [];
  const kept = new Transform({
    transform(chunk: Buffer, _, done) {
      chunks.push(chunk);
      done();
    },
  });
  await inflated(wheel, entry, kept);
  const lines = [
    ...Buffer.concat(chunks)
      .toString('utf8')
      .matchAll(/^"?([^,"\n]+)"?,sha256=([\w-]+),(\d+)\r?$/gm),
  ];
  return new Map(
    lines.map(([, name = '', digest = '', bytes]) => [
      name,
      { bytes: Number(bytes), sha256: Buffer.from(digest, 'base64url').toString('hex') },
    ]),
  );
}

/** Name and version as a wheel's file name has them. */
export function nameOfWheel(file: string): { readonly name: string; readonly version: string } {
  const [name = '', version = ''] = file.slice(file.lastIndexOf('/') + 1).split('-');
  return { name: name.replaceAll('_', '-').toLowerCase(), version };
}

async function inflated(
  wheel: string,
  { header, packed, method, name }: Entry,
  ...to: readonly NodeJS.WritableStream[]
): Promise<void> {
  const handle = await open(wheel, 'r');
  let local: Buffer;
  try {
    local = await bytesAt(handle, header, 30);
  } finally {
    await handle.close();
  }
  if (method !== 0 && method !== 8)
    throw new DataError(`${wheel}  ${name}: expected a stored or deflated file; got method ${method}`);
  const start = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
  const source =
    packed === 0
      ? Readable.from([])
      : createReadStream(wheel, { start, end: start + packed - 1, highWaterMark: 1 << 20 });
  await pipeline([source, ...(method === 8 ? [createInflateRaw()] : []), ...to]).catch((error: unknown) => {
    throw new DataError(`${wheel}  ${name}: expected a file that can be unpacked; got ${String(error)}`, {
      cause: error,
    });
  });
}

function entriesOf(directory: Buffer, count: number): Entry[] {
  const found: Entry[] = [];
  for (let at = 0; found.length < count && at + 46 <= directory.length;) {
    const [name, extra, comment] = [28, 30, 32].map((offset) => directory.readUInt16LE(at + offset)) as [
      number,
      number,
      number,
    ];
    found.push({
      name: directory.toString('utf8', at + 46, at + 46 + name),
      bytes: directory.readUInt32LE(at + 24),
      packed: directory.readUInt32LE(at + 20),
      method: directory.readUInt16LE(at + 10),
      header: directory.readUInt32LE(at + 42),
    });
    at += 46 + name + extra + comment;
  }
  return found;
}

async function bytesAt(
  handle: { read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ bytesRead: number }> },
  position: number,
  length: number,
): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  const { bytesRead } = await handle.read(buffer, 0, length, position);
  return buffer.subarray(0, bytesRead);
}
