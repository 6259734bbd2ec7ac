import { createHash } from 'node:crypto';
import { open, rename, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { RecordBatchStreamWriter, Table, type RecordBatch, type Schema } from 'apache-arrow';

import { syncFolder, type Shard } from '../manifest.js';
import { noRoom } from '../whole-file.js';

/** Ends every stream: the mark and a length of 0. */
export const END_MARK = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0);

/** A shard that is being written: an Arrow stream, uncompressed, called `.partial` until it is sealed. */
export interface ShardFile {
  readonly file: string;
  readonly rows: number;
  /** Bytes written, without the end mark. */
  readonly bytes: number;
  /** Appends a record batch of the shard's schema, as `encodeBatch` gives it. */
  write(batch: Uint8Array, rows: number): Promise<void>;
  /** Waits until what was written is on disk. */
  sync(): Promise<void>;
  /** Ends the stream, syncs it, and renames the file. */
  seal(): Promise<Shard>;
  /** Closes the file as it is; it keeps its `.partial` name. Does nothing to a sealed one. */
  abandon(): Promise<void>;
}

/** Creates a shard in a folder; the file must not exist. */
export async function createShard(folder: string, file: string, schema: Schema): Promise<ShardFile> {
  const path = join(folder, file);
  const partial = `${path}.partial`;
  const handle = await open(partial, 'wx').catch(noRoom(partial, 'rows'));
  const hash = createHash('sha256');
  let [rows, bytes] = [0, 0];
  const add = async (chunk: Uint8Array): Promise<void> => {
    await writeAll(handle, chunk);
    // Writes to a deleted file succeed, and are lost.
    if ((await handle.stat()).nlink === 0) throw new Error('a file that was deleted');
    hash.update(chunk);
    bytes += chunk.length;
  };
  await add(encodeSchema(schema)).catch(async (error: unknown) => {
    await handle.close();
    noRoom(partial, 'rows')(error);
  });
  return {
    file,
    get rows() {
      return rows;
    },
    get bytes() {
      return bytes;
    },
    async write(batch, count) {
      await add(batch).catch(noRoom(partial, 'rows'));
      rows += count;
    },
    sync: () => handle.datasync().catch(noRoom(partial, 'rows')),
    async seal() {
      await add(END_MARK).catch(noRoom(partial, 'rows'));
      await handle.sync().catch(noRoom(partial, 'rows'));
      await handle.close();
      await rename(partial, path).catch(noRoom(partial, 'rows'));
      await syncFolder(folder);
      return { file, rows, bytes, sha256: hash.digest('hex') };
    },
    abandon: () => handle.close(),
  };
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length;) done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten;
}

/** The bytes that begin a stream of this schema. */
export function encodeSchema(schema: Schema): Uint8Array {
  return encode(schema, new Table(schema)).subarray(0, -END_MARK.length);
}

/** A record batch as in a stream, without schema and end mark. */
export function encodeBatch(batch: RecordBatch): Uint8Array {
  const { length } = encodeSchema(batch.schema);
  return encode(batch.schema, new Table(batch.schema, [batch])).subarray(length, -END_MARK.length);
}

function encode(schema: Schema, table: Table): Uint8Array {
  const writer = new RecordBatchStreamWriter();
  writer.reset(undefined, schema);
  writer.write(table);
  writer.finish();
  return writer.toUint8Array(true);
}
