/**
 * The messages of an Arrow stream, every length checked against the bytes that are there before it is used: Arrow's own
 * reader believes them.
 */
import { DataType, Message, MessageHeader, type Data, type Field, type RecordBatch, type Schema } from 'apache-arrow';

/** Where a message's metadata is, from the start of its prefix, bytes. */
export interface Prefix {
  readonly bytes: number;
  readonly metadata: number;
}

/**
 * The prefix of a message.
 *
 * @param head its first 8 bytes, or as many as are left.
 * @param left bytes from its start on.
 * @returns undefined for an end mark; text for what is none.
 */
export function prefixIn(head: Uint8Array, left: number): Prefix | string | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  // Before Arrow 0.15 the length had no marker of four ff.
  const bytes = left >= 4 && view.getInt32(0, true) !== -1 ? 4 : 8;
  if (left < bytes) return `a prefix of ${left} bytes`;
  const metadata = view.getInt32(bytes - 4, true);
  if (metadata === 0) return undefined;
  if (metadata < 0 || metadata > left - bytes) return `metadata of ${metadata} bytes where ${left - bytes} are left`;
  return { bytes, metadata };
}

/**
 * A message.
 *
 * @param left bytes after the metadata.
 * @returns text for what is none.
 */
export function messageIn(metadata: Uint8Array, left: number): Message | string {
  try {
    checkMessage(new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength));
    const message = Message.decode(metadata);
    message.header();
    if (message.bodyLength >= 0 && message.bodyLength <= left) return message;
    return `a body of ${message.bodyLength} bytes where ${left} are left`;
  } catch (error) {
    return `metadata that is not a message: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Despite the types, overwritten bytes can leave a list without an item, or a column without a type. */
export function isWholeSchema({ fields }: Schema): boolean {
  return fields.every(isWhole);
}

function isWhole(field: Field | undefined): boolean {
  const type: DataType | undefined = field?.type;
  const children: readonly (Field | undefined)[] = type?.children ?? [];
  const nested = DataType.isList(type) || DataType.isFixedSizeList(type);
  return type !== undefined && (!nested || children.length === 1) && Array.from(children).every(isWhole);
}

interface Batch {
  readonly length: number;
  readonly nodes: { readonly length: number; readonly nullCount: number }[];
  readonly buffers: { readonly offset: number; readonly length: number }[];
}

/** Why a batch does not fit the schema; undefined if it does. */
export function misfit(message: Message, schema: Schema): string | undefined {
  const header = message.header() as unknown as Batch & { readonly id: number; readonly data: Batch };
  const dictionary = message.isDictionaryBatch();
  if (!dictionary && !message.isRecordBatch()) return 'a second schema';
  const { length, nodes, buffers } = dictionary ? header.data : header;
  if (buffers.some(({ offset, length: bytes }) => offset < 0 || bytes < 0 || offset + bytes > message.bodyLength))
    return 'a buffer outside of its batch';
  const rest = nodes.slice();
  const types = dictionary ? [schema.dictionaries.get(header.id)] : schema.fields.map(({ type }) => type as DataType);
  const fit = types.every((type) => type !== undefined && takeNodes(type, rest, length)) && rest.length === 0;
  return fit ? undefined : 'a batch whose columns are not those of the schema';
}

/** Takes a column's nodes off the front; false where they do not belong to a column of `rows`, if that is known. */
function takeNodes(type: DataType, nodes: Batch['nodes'], rows: number | undefined): boolean {
  const node = nodes.shift();
  if (
    !node ||
    node.length < 0 ||
    node.nullCount < 0 ||
    node.nullCount > node.length ||
    (rows ?? node.length) !== node.length
  )
    return false;
  if (DataType.isDictionary(type)) return true;
  const inner = DataType.isStruct(type)
    ? node.length
    : DataType.isFixedSizeList(type)
      ? node.length * type.listSize
      : undefined;
  return (type.children ?? []).every((child: Field) => takeNodes(child.type as DataType, nodes, inner));
}

/** Why the values of a decoded batch cannot be read; undefined if they can. */
export function unsound({ data, schema, numRows }: RecordBatch): string | undefined {
  // Arrow's reader makes up a batch for a stream without any, and leaves out its children.
  if (numRows === 0) return undefined;
  const wrong = data.children.findIndex((column) => !isSound(column));
  return wrong < 0
    ? undefined
    : `a column ${JSON.stringify(schema.fields[wrong]?.name)} with fewer values than its length`;
}

function isSound(data: Data): boolean {
  const { type, length, nullCount, nullBitmap, values, valueOffsets, stride, children } = data;
  if (nullCount > 0 && (nullBitmap?.length ?? 0) * 8 < length) return false;
  const offsets = valueOffsets as Int32Array | BigInt64Array | undefined;
  const [child] = children;
  if (DataType.isUtf8(type) || DataType.isLargeUtf8(type) || DataType.isBinary(type) || DataType.isLargeBinary(type))
    return length === 0 || rises(offsets, length, values.length);
  if (DataType.isList(type) || DataType.isMap(type))
    return (length === 0 || rises(offsets, length, child?.length ?? 0)) && children.every(isSound);
  if (DataType.isBool(type)) return (values as Uint8Array).length * 8 >= length;
  if (DataType.isInt(type) || DataType.isFloat(type)) return (values as Int32Array).length >= length * stride;
  return children.every(isSound);
}

/** Whether each of `length` items begins where the one before ends, and all lie within `most`. */
function rises(offsets: Int32Array | BigInt64Array | undefined, length: number, most: number): boolean {
  if (!offsets || offsets.length <= length) return false;
  for (let i = 0; i < length; i++) if (offsets[i] > offsets[i + 1]) return false;
  return offsets[0] >= 0 && offsets[length] <= most;
}

/** Follows a message's tables and vectors; a `DataView` throws where an offset leads out of the bytes. */
function checkMessage(view: DataView): void {
  const message = follow(view, 0);
  vector(view, message, 4, 4);
  const [kind, at] = [slot(view, message, 1), slot(view, message, 2)];
  const header = follow(view, at);
  const type = view.getUint8(kind);
  if (type === MessageHeader.Schema) checkFields(view, header, 1, 2, 0);
  else if (type === MessageHeader.RecordBatch) checkBatch(view, header);
  else if (type === MessageHeader.DictionaryBatch) checkBatch(view, follow(view, slot(view, header, 1)));
  else throw new RangeError(`header type ${type}`);
}

/** Deeper fields are damage: a table that is its own child. */
const DEEPEST = 64;

function checkFields(view: DataView, table: number, fields: number, metadata: number, depth: number): void {
  if (depth > DEEPEST) throw new RangeError(`fields more than ${DEEPEST} levels deep`);
  vector(view, table, metadata, 4);
  const { start, length } = vector(view, table, fields, 4);
  for (let i = 0; i < length; i++) checkFields(view, follow(view, start + 4 * i), 5, 6, depth + 1);
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
