import type { Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

import { RecordBatchReader, type RecordBatch, type Schema } from 'apache-arrow';

import { DataError, messageOf } from '../../errors.js';
import { isWholeSchema, messageIn, misfit, prefixIn, unsound } from './messages.js';

/**
 * The record batches of a shard, one at a time.
 *
 * @param hash gets every byte of the file.
 * @throws {DataError} at the first damage, after the batches before it.
 */
export async function* batches(path: string, hash: Hash): AsyncGenerator<RecordBatch, void, undefined> {
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
