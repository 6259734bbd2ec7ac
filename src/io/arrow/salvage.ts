import {
  DataType,
  Message,
  MessageHeader,
  RecordBatchReader,
  type Field,
  type RecordBatch,
  type Schema,
} from 'apache-arrow';

import { DataError, messageOf } from '../../errors.js';

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
  if (!schema.fields.every(isWhole))
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
    for (const batch of RecordBatchReader.from(bytes)) if (batch.data.children.length > 0) batches.push(batch);
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
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = new TextDecoder().decode(bytes.subarray(0, 6)) === 'ARROW1' ? 8 : 0;
  while (start < bytes.length) {
    const damaged = (what: string): Stop => ({ ended: false, damage: `at byte ${start} ${what}` });
    const left = bytes.length - start;
    // Before Arrow 0.15 the length had no marker of four ff.
    const prefix = left >= 4 && view.getInt32(start, true) !== -1 ? 4 : 8;
    if (left < prefix) return damaged(`a prefix of ${left} bytes`);
    const length = view.getInt32(start + prefix - 4, true);
    if (length === 0) return { ended: true };
    if (length < 0 || length > left - prefix)
      return damaged(`metadata of ${length} bytes where ${left - prefix} are left`);
    const message = messageIn(bytes.subarray(start + prefix, start + prefix + length));
    if (typeof message === 'string') return damaged(message);
    const end = start + prefix + length + message.bodyLength;
    if (!(message.bodyLength >= 0 && end <= bytes.length))
      return damaged(`a body of ${message.bodyLength} bytes where ${left - prefix - length} are left`);
    yield { start, end, message };
    start = end;
  }
  return { ended: false };
}

function messageIn(metadata: Uint8Array): Message | string {
  try {
    checkMessage(new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength));
    const message = Message.decode(metadata);
    message.header();
    return message;
  } catch (error) {
    return `metadata that is not a message: ${messageOf(error)}`;
  }
}

/** Why a batch does not fit the schema; undefined if it does. */
function misfit(message: Message, schema: Schema): string | undefined {
  if (message.isDictionaryBatch()) return undefined;
  if (!message.isRecordBatch()) return 'a second schema';
  const { length, nodes, buffers } = message.header() as unknown as Batch;
  if (buffers.some(({ offset, length: bytes }) => offset < 0 || bytes < 0 || offset + bytes > message.bodyLength))
    return 'a buffer outside of its batch';
  const rest = nodes.slice();
  const fit = schema.fields.every((field) => takeNodes(field, rest, length)) && rest.length === 0;
  return fit ? undefined : 'a batch whose columns are not those of the schema';
}

interface Batch {
  readonly length: number;
  readonly nodes: { readonly length: number; readonly nullCount: number }[];
  readonly buffers: { readonly offset: number; readonly length: number }[];
}

/** Despite the types, overwritten bytes can leave a list without an item, or a column without a type. */
function isWhole(field: Field | undefined): boolean {
  const type: DataType | undefined = field?.type;
  const children: readonly (Field | undefined)[] = type?.children ?? [];
  const nested = DataType.isList(type) || DataType.isFixedSizeList(type);
  return type !== undefined && (!nested || children.length === 1) && Array.from(children).every(isWhole);
}

/** Takes a column's nodes off the front; false where they do not belong to a column of `rows`, if that is known. */
function takeNodes(field: Field, nodes: Batch['nodes'], rows: number | undefined): boolean {
  const node = nodes.shift();
  if (
    !node ||
    node.length < 0 ||
    node.nullCount < 0 ||
    node.nullCount > node.length ||
    (rows ?? node.length) !== node.length
  )
    return false;
  const { type } = field;
  if (DataType.isDictionary(type)) return true;
  const inner = DataType.isStruct(type)
    ? node.length
    : DataType.isFixedSizeList(type)
      ? node.length * type.listSize
      : undefined;
  return ((type as DataType).children ?? []).every((child: Field) => takeNodes(child, nodes, inner));
}

/** Follows a message's tables and vectors; a `DataView` throws where an offset leads out of the bytes. */
function checkMessage(view: DataView): void {
  const message = follow(view, 0);
  vector(view, message, 4, 4);
  const [kind, at] = [slot(view, message, 1), slot(view, message, 2)];
  const header = follow(view, at);
  const type = view.getUint8(kind);
  if (type === MessageHeader.Schema) checkFields(view, header, 1, 2);
  else if (type === MessageHeader.RecordBatch) checkBatch(view, header);
  else if (type === MessageHeader.DictionaryBatch) checkBatch(view, follow(view, slot(view, header, 1)));
  else throw new RangeError(`header type ${type}`);
}

function checkFields(view: DataView, table: number, fields: number, metadata: number): void {
  vector(view, table, metadata, 4);
  const { start, length } = vector(view, table, fields, 4);
  for (let i = 0; i < length; i++) checkFields(view, follow(view, start + 4 * i), 5, 6);
}

function checkBatch(view: DataView, table: number): void {
  vector(view, table, 1, 16);
  vector(view, table, 2, 16);
  vector(view, table, 4, 8);
}

const follow = (view: DataView, at: number): number => at + view.getUint32(at, true);

/** Offset of a table's nth value; 0 if it has none. */
function slot(view: DataView, table: number, n: number): number {
  const vtable = table - view.getInt32(table, true);
  const offset = 4 + 2 * n < view.getUint16(vtable, true) ? view.getUint16(vtable + 4 + 2 * n, true) : 0;
  return offset && table + offset;
}

function vector(view: DataView, table: number, n: number, itemBytes: number): { start: number; length: number } {
  const at = slot(view, table, n);
  if (at === 0) return { start: 0, length: 0 };
  const start = follow(view, at) + 4;
  const length = view.getUint32(start - 4, true);
  if (start + length * itemBytes > view.byteLength)
    throw new RangeError(`${length} items of ${itemBytes} bytes where ${view.byteLength - start} bytes are left`);
  return { start, length };
}
