import { open, rename, rm, writeFile, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { ModelError } from '../errors.js';
import { firstNonFinite, firstNonFiniteHalf } from './finite.js';
import { toBf16, toF16 } from './half.js';
import { dtypeBytes, type Dtype } from './safetensors-header.js';

/**
 * A tensor to be stored; F16 and BF16 are given as float32 and rounded to the nearest. Functions are called when their
 * tensor's turn comes.
 */
export type StoredTensor = { readonly name: string; readonly shape: readonly number[] } & (
  | {
      readonly dtype: 'F32' | 'F16' | 'BF16';
      readonly data: Float32Array | (() => Float32Array | Promise<Float32Array>);
    }
  | { readonly dtype: 'I64'; readonly data: BigInt64Array }
);

/** A tensor of any kind, its bytes as they are stored, read when its turn comes. */
export interface RawTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: () => Promise<Uint8Array>;
}

/** Values converted and handed to the file system at once: the only memory beside the tensors themselves. */
const CHUNK = 1 << 22;

/**
 * Writes a safetensors file that is either whole or absent: under a temporary name, synced, renamed.
 *
 * Wide kinds come first, so that every tensor lies at a multiple of its value's bytes; the same tensors give the same
 * bytes.
 *
 * @throws {ModelError} if a name occurs twice or a shape does not fit its data, or where a value is infinite or NaN, or
 * would be in its kind; no file is left then.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly (StoredTensor | RawTensor)[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = tensors.toSorted((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype]);
  const header = headerOf(path, ordered, metadata);
  const temporary = `${path}.partial`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(header);
      for (const tensor of ordered) await append(file, path, tensor);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

function headerOf(
  path: string,
  tensors: readonly (StoredTensor | RawTensor)[],
  metadata: Readonly<Record<string, string>>,
): Buffer {
  const entries = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) entries.set('__metadata__', metadata);
  let at = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    if (entries.has(name) || name === '__metadata__')
      throw new ModelError(`${path}  tensor ${JSON.stringify(name)}: expected a name of its own; got it twice`);
    if ('data' in tensor && typeof tensor.data !== 'function') checkLength(path, tensor, tensor.data);
    const end = at + bytesOf(tensor);
    entries.set(name, { dtype, shape, data_offsets: [at, end] });
    at = end;
  }

  const text = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const padded = Math.ceil(text.length / 8) * 8;
  const header = Buffer.alloc(8 + padded, ' ');
  header.writeBigUInt64LE(BigInt(padded));
  text.copy(header, 8);
  return header;
}

/** Values that a shape holds. */
const valuesOf = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);

/** Bytes that a tensor takes in a file. */
const bytesOf = ({ shape, dtype }: Pick<RawTensor, 'shape' | 'dtype'>): number => valuesOf(shape) * dtypeBytes[dtype];

function checkLength(path: string, { name, shape }: StoredTensor, { length }: { readonly length: number }): void {
  const count = valuesOf(shape);
  if (count !== length)
    throw new ModelError(
      `${path}  tensor ${JSON.stringify(name)}: expected ${count} values for [${shape.join(', ')}]; got ${length}`,
    );
}

async function append(file: FileHandle, path: string, tensor: StoredTensor | RawTensor): Promise<void> {
  if ('bytes' in tensor) return appendRaw(file, path, tensor);
  const values = typeof tensor.data === 'function' ? await tensor.data() : tensor.data;
  checkLength(path, tensor, values);
  for (let at = 0; at < values.length; at += CHUNK) {
    const part = values.subarray(at, at + CHUNK);
    const stored =
      part instanceof BigInt64Array || tensor.dtype === 'F32'
        ? part
        : tensor.dtype === 'F16'
          ? toF16(part)
          : toBf16(part);
    checkStored(path, tensor, part, stored, at);
    await file.writeFile(new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength));
  }
}

/** @throws {ModelError} for a value that isn't finite, or that its kind is too narrow for. */
function checkStored(
  path: string,
  { name, dtype }: StoredTensor,
  given: Float32Array | BigInt64Array,
  stored: Float32Array | BigInt64Array | Uint16Array,
  from: number,
): void {
  if (given instanceof BigInt64Array || stored instanceof BigInt64Array) return;
  const at =
    stored instanceof Uint16Array
      ? firstNonFiniteHalf(stored, dtype === 'BF16' ? 0x7f80 : 0x7c00)
      : firstNonFinite(stored);
  if (at < 0) return;
  const what = Number.isFinite(given[at]) ? `numbers that ${dtype} holds` : 'finite numbers';
  throw new ModelError(`${path}  tensor ${JSON.stringify(name)}: expected ${what}; got ${given[at]} at ${from + at}`);
}

async function appendRaw(file: FileHandle, path: string, tensor: RawTensor): Promise<void> {
  const { name, dtype, shape } = tensor;
  const bytes = await tensor.bytes();
  if (bytes.length !== bytesOf(tensor))
    throw new ModelError(
      `${path}  tensor ${JSON.stringify(name)}: expected ${bytesOf(tensor)} bytes for ${dtype} [${shape.join(', ')}]; got ${bytes.length}`,
    );
  for (let at = 0; at < bytes.length; at += 4 * CHUNK) await file.writeFile(bytes.subarray(at, at + 4 * CHUNK));
}

/** Shard size of Hugging Face's tools. */
const SHARD_BYTES = 5e9;

/**
 * Writes a checkpoint's weights: `model.safetensors`, or several shards and their index.
 *
 * @param most bytes of tensors in one file; a larger tensor has a file of its own.
 */
export async function writeShards(
  folder: string,
  tensors: readonly StoredTensor[],
  metadata: Readonly<Record<string, string>> = {},
  most: number = SHARD_BYTES,
): Promise<void> {
  const shards: StoredTensor[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = bytesOf(tensor);
    if (bytes > room || shards.length === 0) {
      shards.push([]);
      room = most;
    }
    (shards.at(-1) as StoredTensor[]).push(tensor);
    room -= bytes;
  }
  if (shards.length <= 1) return writeSafetensors(join(folder, 'model.safetensors'), tensors, metadata);

  const digits = (n: number): string => String(n).padStart(5, '0');
  const places: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const file = `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
    await writeSafetensors(join(folder, file), shard, metadata);
    for (const { name } of shard) places[name] = file;
  }
  const index = {
    metadata: { total_size: tensors.reduce((sum, tensor) => sum + bytesOf(tensor), 0) },
    weight_map: places,
  };
  await writeFile(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
}

/** Without it a rename may be lost when the machine stops. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
