import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

import { ModelError } from '../errors.js';
import { toBf16, toF16 } from './half.js';
import { dtypeBytes, type Dtype } from './safetensors-header.js';

/** A tensor to be stored; BF16 and F16 are given as float32 and rounded to the nearest. */
export type StoredTensor = { readonly name: string; readonly shape: readonly number[] } & (
  | { readonly dtype: 'F32' | 'BF16' | 'F16'; readonly data: Float32Array }
  | { readonly dtype: 'I64'; readonly data: BigInt64Array }
);

/** A tensor whose bytes are made when their turn comes, so that a file may be larger than memory. */
export interface LateTensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: () => Promise<Uint8Array>;
}

/** Bytes handed to the file system at once; one call takes less than 2 GiB. */
const CHUNK = 1 << 28;

/**
 * Writes a safetensors file that is either whole or absent: under a temporary name, synced, renamed.
 *
 * Wide kinds come first, so that every tensor lies at a multiple of its value's bytes; the same tensors give the same bytes.
 *
 * @throws {ModelError} if a name occurs twice or a shape does not fit its data; nothing is left behind then.
 */
export async function writeSafetensors(
  path: string,
  tensors: readonly (StoredTensor | LateTensor)[],
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const ordered = tensors.toSorted((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype]);
  const header = headerOf(path, ordered, metadata);
  const temporary = `${path}.partial`;
  try {
    const file = await open(temporary, 'w');
    try {
      await file.writeFile(header);
      for (const tensor of ordered) {
        const bytes = 'bytes' in tensor ? await lateBytes(path, tensor) : bytesOf(tensor);
        for (let at = 0; at < bytes.length; at += CHUNK) await file.writeFile(bytes.subarray(at, at + CHUNK));
      }
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

function headerOf(path: string, tensors: readonly (StoredTensor | LateTensor)[], metadata: Readonly<Record<string, string>>): Buffer {
  const entries = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) entries.set('__metadata__', metadata);
  let at = 0;
  for (const tensor of tensors) {
    const { name, dtype, shape } = tensor;
    const where = `${path}  tensor ${JSON.stringify(name)}`;
    const count = shape.reduce((product, side) => product * side, 1);
    if (entries.has(name) || name === '__metadata__') throw new ModelError(`${where}: expected a name of its own; got it twice`);
    if ('data' in tensor && count !== tensor.data.length) throw new ModelError(`${where}: expected ${count} values for [${shape.join(', ')}]; got ${tensor.data.length}`);
    const end = at + count * dtypeBytes[dtype];
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

async function lateBytes(path: string, { name, dtype, shape, bytes: make }: LateTensor): Promise<Uint8Array> {
  const bytes = await make();
  const expected = shape.reduce((product, side) => product * side, dtypeBytes[dtype]);
  if (bytes.length !== expected) throw new ModelError(`${path}  tensor ${JSON.stringify(name)}: expected ${expected} bytes for ${dtype} [${shape.join(', ')}]; got ${bytes.length}`);
  return bytes;
}

/** A tensor's values as they are stored. */
export function bytesOf({ dtype, data }: Pick<StoredTensor, 'dtype' | 'data'>): Uint8Array {
  const stored = dtype === 'BF16' ? toBf16(data as Float32Array) : dtype === 'F16' ? toF16(data as Float32Array) : data;
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
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
