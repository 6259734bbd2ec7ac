import { open } from 'node:fs/promises';

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
 * Reads and checks the header of a safetensors file: every tensor's kind, shape and place.
 *
 * @throws {ModelError} if the file is missing, cut off, or contradicts itself.
 */
export async function readHeader(file: string): Promise<Header> {
  const handle = await open(file).catch((error: unknown) => {
    throw new ModelError(`${file}  safetensors: expected a file that can be read; got ${messageOf(error)}`, {
      cause: error,
    });
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
    return checkHeader(parse(text.toString('utf8'), file), file, 8 + length, size);
  } finally {
    await handle.close();
  }
}

function parse(text: string, file: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = text;
  }
  if (!isRecord(value)) throw new ModelError(`${file}  header: expected a JSON object; got ${shown(value)}`);
  return value;
}

function checkHeader(header: Record<string, unknown>, file: string, start: number, size: number): Header {
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') metadata = checkMetadata(entry, file);
    else tensors.set(name, checkTensor(name, entry, file, start, size));
  }
  return { tensors, metadata };
}

function checkMetadata(value: unknown, file: string): Record<string, string> {
  const texts = isRecord(value) && Object.values(value).every((text) => typeof text === 'string');
  if (!texts) throw new ModelError(`${file}  __metadata__: expected names with texts; got ${shown(value)}`);
  return value as Record<string, string>;
}

function checkTensor(name: string, entry: unknown, file: string, start: number, size: number): TensorInfo {
  const where = `${file}  tensor ${JSON.stringify(name)}`;
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
