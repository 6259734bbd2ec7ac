import { RecordBatchReader, type Message, type RecordBatch, type Schema } from 'apache-arrow';

import { DataError, messageOf } from '../../errors.js';
import { isWholeSchema, messageIn, misfit, prefixIn, unsound } from './messages.js';

/** The readable part of an Arrow stream that may be damaged. */
export interface Salvaged {
  readonly schema: Schema;
  /** Whole batches up to the damage, in order. */
  readonly batches: readonly RecordBatch[];
  /** Rows of those batches. */
  readonly rows: number;
  /** Readable bytes from the start; nothing after them is read. */
  readonly bytes: number;
  /** Whether an end mark was met. Zeros look like one, and a cut between batches like none: only a manifest knows. */
  readonly ended: boolean;
  /** Why reading stopped before an end; absent for a clean end or a cut between batches. */
  readonly damage?: string;
}

type Frame = { readonly start: number; readonly end: number; readonly message: Message };
type Stop = { readonly ended: boolean; readonly damage?: string };

/**
 * Reads a stream up to the first damage; an IPC file is read as the stream that it holds. Every length is checked
 * against the remaining bytes before it is used.
 *
 * @throws {DataError} if there is no schema.
 */
export function salvage(bytes: Uint8Array): Salvaged {
  const walk = frames(bytes);
  const first = walk.next();
  if (first.done || !first.value.message.isSchema()) {
    const damage = first.done ? first.value.damage : 'a batch before any schema';
    throw new DataError(`an Arrow stream: expected a schema; got ${damage ?? `${bytes.length} bytes without one`}`);
  }
  const schema = first.value.message.header();
  if (!isWholeSchema(schema))
    throw new DataError('an Arrow stream: expected a schema; got one that lacks a type or a child');
  let { end } = first.value;
  let next = walk.next();
  while (!next.done && !misfit(next.value.message, schema)) {
    end = next.value.end;
    next = walk.next();
  }
  const stop = next.done
    ? next.value
    : { ended: false, damage: `at byte ${next.value.start} ${misfit(next.value.message, schema)}` };
  return { schema, bytes: end, ...stop, ...decoded(bytes.subarray(first.value.start, end)) };
}

function decoded(bytes: Uint8Array): Pick<Salvaged, 'batches' | 'rows'> & Partial<Stop> {
  const batches: RecordBatch[] = [];
  const rows = (): number => batches.reduce((sum, batch) => sum + batch.numRows, 0);
  try {
    for (const batch of RecordBatchReader.from(bytes)) {
      const fault = unsound(batch);
      if (fault !== undefined) throw new RangeError(fault);
      if (batch.data.children.length > 0) batches.push(batch);
    }
  } catch (error) {
    return {
      batches,
      rows: rows(),
      ended: false,
      damage: `batch ${batches.length} cannot be decoded: ${messageOf(error)}`,
    };
  }
  return { batches, rows: rows() };
}

/** The complete messages in `bytes`; then why there are no more. */
function* frames(bytes: Uint8Array): Generator<Frame, Stop> {
  let start = new TextDecoder().decode(bytes.subarray(0, 6)) === 'ARROW1' ? 8 : 0;
  while (start < bytes.length) {
    const damaged = (what: string): Stop => ({ ended: false, damage: `at byte ${start} ${what}` });
    const prefix = prefixIn(bytes.subarray(start, start + 8), bytes.length - start);
    if (prefix === undefined) return { ended: true };
    if (typeof prefix === 'string') return damaged(prefix);
    const body = start + prefix.bytes + prefix.metadata;
    const message = messageIn(bytes.subarray(start + prefix.bytes, body), bytes.length - body);
    if (typeof message === 'string') return damaged(message);
    const end = body + message.bodyLength;
    yield { start, end, message };
    start = end;
  }
  return { ended: false };
}
