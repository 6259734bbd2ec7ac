import { createHash, type Hash } from 'node:crypto';
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { RecordBatchReader, type RecordBatch, type Schema } from 'apache-arrow';

import { DataError, messageOf } from '../../errors.js';
import type { Row } from '../../records.js';
import { readManifest, type Shard } from '../manifest.js';
import { isWholeSchema, messageIn, misfit, prefixIn, unsound } from './messages.js';
import { fromBatch } from './rows.js';
import { salvage } from './salvage.js';
import { sha256Of } from '../sealed-folder.js';

/**
 * The rows of a folder's sealed shards, in order; a batch of them is in memory at a time.
 *
 * `Own` is the type of custom columns, such as `{ difficulty?: number }`.
 *
 * @throws {DataError} if there is no manifest, or a shard differs from it; rows before the damage come first.
 */
export async function* readRows<Own extends object = object>(
  folder: string,
): AsyncGenerator<Row & Own, void, undefined> {
  const { shards } = await readManifest(folder);
  // Only the shards know their columns.
  for (const shard of shards) yield* shardRows(folder, shard) as AsyncGenerator<Row & Own>;
}

/**
 * The rows of an interrupted run: those of sealed shards, then the readable ones of the shard that was being written.
 *
 * @throws {DataError} as `readRows` does.
 */
export async function* recoverRows(folder: string): AsyncGenerator<Row, void, undefined> {
  yield* readRows(folder);
  const { open: unsealed } = await readManifest(folder);
  if (unsealed !== null) yield* unsealedRows(folder, unsealed);
}

/**
 * The first `keep` rows of an earlier run.
 *
 * @returns the sealed shards that lie whole before the cut, and the rows between them and the cut.
 * @throws {DataError} if a sealed shard with rows to keep is damaged, or there are fewer rows; the remaining rows
 * report damage when they are read.
 */
export async function rowsSoFar(folder: string, keep: number): Promise<{ shards: Shard[]; rest: AsyncIterable<Row> }> {
  if (keep === 0) return { shards: [], rest: upTo(0, recoverRows(folder), folder) };
  const { shards, open: unsealed } = await readManifest(folder);
  let whole = 0;
  let left = keep;
  while (whole < shards.length && shards[whole].rows <= left) left -= shards[whole++].rows;
  // Also the one with the cut in it, of which the end is never read.
  for (const shard of shards.slice(0, left > 0 ? whole + 1 : whole)) await checkShard(folder, shard);
  const behind = async function* (): AsyncGenerator<Row> {
    for (const shard of shards.slice(whole)) yield* shardRows(folder, shard);
    if (unsealed !== null) yield* unsealedRows(folder, unsealed);
  };
  return { shards: shards.slice(0, whole), rest: upTo(left, behind(), folder) };
}

/**
 * Whether the first `keep` rows of an earlier run can be read.
 *
 * @throws {DataError} as `rowsSoFar` does, also for damage of the remaining rows.
 */
export async function checkRows(folder: string, keep: number): Promise<void> {
  const { rest } = await rowsSoFar(folder, keep);
  for await (const _ of rest);
}

async function* upTo(count: number, rows: AsyncIterable<Row>, folder: string): AsyncGenerator<Row> {
  let seen = 0;
  if (count === 0) return;
  for await (const row of rows) {
    yield row;
    if (++seen === count) return;
  }
  throw new DataError(`${folder}  rows to keep: expected ${count} more behind the whole shards; got ${seen}`);
}

type Wrong = (what: string, expected: number | string, got: number | string) => DataError;

const wrongIn =
  (path: string): Wrong =>
  (what, expected, got) =>
    new DataError(`${path}  ${what}: expected ${expected} as the manifest has it; got ${got}`);

async function checkSize(path: string, { bytes }: Shard): Promise<void> {
  const wrong = wrongIn(path);
  const { size } = await stat(path).catch((error: unknown) => {
    throw wrong('a shard', `${bytes} bytes`, messageOf(error));
  });
  if (size !== bytes) throw wrong('bytes', bytes, size);
}

async function checkShard(folder: string, shard: Shard): Promise<void> {
  const path = join(folder, shard.file);
  await checkSize(path, shard);
  const sha256 = await sha256Of(path);
  if (sha256 !== shard.sha256) throw wrongIn(path)('SHA-256', shard.sha256, sha256);
}

async function* shardRows(folder: string, shard: Shard): AsyncGenerator<Row, void, undefined> {
  const path = join(folder, shard.file);
  const wrong = wrongIn(path);
  await checkSize(path, shard);
  const hash = createHash('sha256');
  let rows = 0;
  for await (const batch of batches(path, hash)) {
    rows += batch.numRows;
    yield* fromBatch(batch);
  }
  const sha256 = hash.digest('hex');
  if (sha256 !== shard.sha256) throw wrong('SHA-256', shard.sha256, sha256);
  if (rows !== shard.rows) throw wrong('rows', shard.rows, rows);
}

async function* batches(path: string, hash: Hash): AsyncGenerator<RecordBatch, void, undefined> {
  const file = await open(path).catch((error: unknown) => {
    throw notArrow(path, messageOf(error), error);
  });
  try {
    for await (const batch of await RecordBatchReader.from(messages(file, hash))) {
      const fault = unsound(batch);
      if (fault !== undefined) throw new RangeError(fault);
      yield batch;
    }
    // What comes after the end of the stream is of the shard, too.
    for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk as Uint8Array);
  } catch (error) {
    throw notArrow(path, messageOf(error), error);
  } finally {
    await file.close();
  }
}

function notArrow(path: string, got: string, cause: unknown): DataError {
  return new DataError(`${path}  a shard: expected an Arrow stream; got ${got}`, { cause });
}

/** The messages of a stream up to its end, each whole and checked. @throws {RangeError} for one that isn't. */
async function* messages(file: FileHandle, hash: Hash): AsyncGenerator<Uint8Array, void, undefined> {
  const { size } = await file.stat();
  let start = 0;
  let schema: Schema | undefined;
  const take = async (most: number): Promise<Uint8Array> => {
    const bytes = Buffer.alloc(Math.min(most, size - start));
    const { bytesRead } = await file.read(bytes, 0, bytes.length, null);
    if (bytesRead < bytes.length) throw new RangeError(`${start + bytesRead} bytes where there were ${size}`);
    start += bytes.length;
    hash.update(bytes);
    return bytes;
  };
  while (start < size) {
    const from = start;
    const fail = (what: string): RangeError => new RangeError(`at byte ${from} ${what}`);
    const head = await take(8);
    const prefix = prefixIn(head, head.length + size - start);
    if (typeof prefix === 'string') throw fail(prefix);
    if (!prefix) return yield head;
    // A stream of Arrow before 0.15, whose prefix is shorter, is none of ours.
    if (prefix.bytes !== head.length) throw fail('a message without its mark');
    const metadata = await take(prefix.metadata);
    const message = messageIn(metadata, size - start);
    if (typeof message === 'string') throw fail(message);
    const fault = schema ? misfit(message, schema) : message.isSchema() ? undefined : 'a batch before any schema';
    if (fault !== undefined) throw fail(fault);
    if (!schema) {
      schema = message.header() as Schema;
      if (!isWholeSchema(schema)) throw fail('a schema that lacks a type or a child');
    }
    yield Buffer.concat([head, metadata, await take(message.bodyLength)]);
  }
}

/** Whole batches of a shard that was not sealed, or sealed just before the manifest was updated. */
async function* unsealedRows(folder: string, file: string): AsyncGenerator<Row, void, undefined> {
  const path = join(folder, file);
  const bytes = (await bytesIn(`${path}.partial`)) ?? (await bytesIn(path)) ?? new Uint8Array(0);
  if (bytes.length === 0) return;
  for (const batch of salvage(bytes).batches) yield* fromBatch(batch);
}

async function bytesIn(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
