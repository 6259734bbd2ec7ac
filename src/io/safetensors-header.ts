import { open, stat } from 'node:fs/promises';

import { messageOf, ModelError, shown } from '../errors.js';

/** Bytes of one value of each kind a safetensors file may hold. */
export const dtypeBytes = {
  F64: 8,
  I64: 8,
  U64: 8,
  F32: 4,
  I32: 4,
  U32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
} as const;

export type Dtype = keyof typeof dtypeBytes;

/** Position of a tensor. */
export interface TensorInfo {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly file: string;
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Header {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The format's own limit. */
const MOST_HEADER_BYTES = 100_000_000;

/**
 * Reads and checks the header of a safetensors file: every tensor's kind, shape and place. The bytes of the tensors
 * follow each other, without holes, to the end of the file.
 *
 * @throws {ModelError} if the file is missing, cut off, or contradicts itself.
 * @see https://github.com/huggingface/safetensors#format
 */
export async function readHeader(file: string): Promise<Header> {
  const unreadable = (got: string, cause?: unknown): ModelError =>
    new ModelError(`${file}  safetensors: expected a file that can be read; got ${got}`, { cause });
  const there = await stat(file).catch((error: unknown) => {
    throw unreadable(messageOf(error), error);
  });
  // Opening a pipe would wait for its writer.
  if (!there.isFile()) throw unreadable('something else of that name');
  const handle = await open(file).catch((error: unknown) => {
    throw unreadable(messageOf(error), error);
  });
  try {
    const { size } = await handle.stat();
    const start = Buffer.alloc(8);
    await handle.read(start, 0, 8, 0);
    const length = Number(start.readBigUInt64LE());
    if (size < 8 || length > Math.min(size - 8, MOST_HEADER_BYTES)) {
      throw new ModelError(
        `${file}  header: expected it inside the file; got ${length} bytes of header in a file of ${size}`,
      );
    }
    const text = Buffer.alloc(length);
    await handle.read(text, 0, length, 8);
    return checkHeader(parse(text, file), file, 8 + length, size);
  } finally {
    await handle.close();
  }
}

function parse(bytes: Buffer, file: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ModelError(`${file}  header: expected UTF-8; got other bytes`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = text;
  }
  if (!isRecord(value) || !text.startsWith('{'))
    throw new ModelError(`${file}  header: expected a JSON object; got ${shown(value)}`);
  const keys = Object.values(value).reduce<number>(
    (sum, entry) => sum + (isRecord(entry) ? Object.keys(entry).length : 0),
    Object.keys(value).length,
  );
  if (keysIn(text) !== keys)
    throw new ModelError(`${file}  header: expected each name once; got ${keysIn(text)} keys with ${keys} names`);
  return value;
}

/** Keys of an object in JSON and of the objects in it: reading it keeps only the last of a name. */
function keysIn(json: string): number {
  let count = 0;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const sign = json[at];
    if (sign === '"') {
      do at += json[at] === '\\' ? 2 : 1;
      while (json[at] !== '"');
    } else if (sign === '{' || sign === '[') depth++;
    else if (sign === '}' || sign === ']') depth--;
    else if (sign === ':' && depth <= 2) count++;
  }
  return count;
}

function checkHeader(header: Record<string, unknown>, file: string, start: number, size: number): Header {
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') metadata = checkMetadata(entry, file);
    else tensors.set(name, checkTensor(name, entry, file, start, size));
  }
  checkPlaces(tensors, file, start, size);
  return { tensors, metadata };
}

/** Tensors lie side by side: neither shared bytes nor bytes of none. */
function checkPlaces(tensors: ReadonlyMap<string, TensorInfo>, file: string, start: number, size: number): void {
  let end = start;
  const inOrder = [...tensors].toSorted(([, a], [, b]) => a.offset - b.offset || a.bytes - b.bytes);
  for (const [name, { offset, bytes }] of inOrder) {
    if (offset !== end)
      throw new ModelError(
        `${file}  tensor ${shown(name)}: expected its bytes at ${end - start}, where those before it end; got ${offset - start}`,
      );
    end = offset + bytes;
  }
  if (end !== size)
    throw new ModelError(
      `${file}  header: expected tensors up to the end, at ${size}; got the last one's end at ${end}`,
    );
}

function checkMetadata(value: unknown, file: string): Record<string, string> {
  const texts = isRecord(value) && Object.values(value).every((text) => typeof text === 'string');
  if (!texts) throw new ModelError(`${file}  __metadata__: expected names with texts; got ${shown(value)}`);
  return value as Record<string, string>;
}

function checkTensor(name: string, entry: unknown, file: string, start: number, size: number): TensorInfo {
  const where = `${file}  tensor ${shown(name)}`;
  const { dtype, shape, data_offsets: place } = isRecord(entry) ? entry : {};
  if (!isDtype(dtype))
    throw new ModelError(`${where}: expected a dtype of ${Object.keys(dtypeBytes).join(', ')}; got ${shown(dtype)}`);
  if (!areCounts(shape)) throw new ModelError(`${where}: expected a shape of whole numbers; got ${shown(shape)}`);
  if (!areCounts(place) || place.length !== 2)
    throw new ModelError(`${where}: expected two data_offsets; got ${shown(place)}`);

  const [begin, end] = place as [number, number];
  const expected = shape.reduce((product, side) => product * side, dtypeBytes[dtype]);
  if (end - begin !== expected) {
    throw new ModelError(`${where}: expected ${expected} bytes for ${dtype} [${shape.join(', ')}]; got ${end - begin}`);
  }
  if (start + end > size) {
    throw new ModelError(
      `${where}: expected its bytes to end within the file, at ${start + end}; got a file of ${size} bytes; is the copy complete?`,
    );
  }
  return { dtype, shape, file, offset: start + begin, bytes: expected };
}

function isDtype(value: unknown): value is Dtype {
  return typeof value === 'string' && Object.hasOwn(dtypeBytes, value);
}

function areCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((part) => Number.isSafeInteger(part) && part >= 0);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
