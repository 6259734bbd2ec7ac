import { open, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';

import { messageOf, ModelError, shown } from '../errors.js';
import { firstNonFinite, firstNonFiniteHalf } from './finite.js';
import { fromBf16, fromF16 } from './half.js';
import { dtypeBytes, readHeader, type Dtype, type TensorInfo } from './safetensors-header.js';

export type { Dtype, TensorInfo } from './safetensors-header.js';
export { writeSafetensors, writeShards, type RawTensor, type StoredTensor } from './safetensors-write.js';

/** Kinds that float32 holds without loss. */
export const FLOATS = ['F32', 'F16', 'BF16'] as const satisfies readonly Dtype[];

/** Named tensors in one file or several. No file stays open: each read opens, reads its bytes and closes. */
export interface Tensors {
  /** In the order stored. */
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  has(name: string): boolean;
  /** @throws {ModelError} if there is no such tensor; so do the reads, and where the kind is another. */
  info(name: string): TensorInfo;
  /**
   * F32, F16 or BF16, upcast in place.
   *
   * @param into receives the values instead of a new array; of the same length.
   */
  read(name: string): Promise<Float32Array<ArrayBuffer>>;
  read(name: string, into: Float32Array): Promise<Float32Array>;
  /** As `read`. @throws {ModelError} also if a value is infinite or NaN, which no weight is. */
  readFinite(name: string): Promise<Float32Array<ArrayBuffer>>;
  readFinite(name: string, into: Float32Array): Promise<Float32Array>;
  /** Reads a F32, F16 or BF16 tensor piece by piece. @throws {ModelError} if a value is infinite or NaN. */
  checkFinite(name: string): Promise<void>;
  /** Whether two tensors are of one kind and shape, and have the same bytes. */
  same(one: string, other: string): Promise<boolean>;
  readF64(name: string): Promise<Float64Array<ArrayBuffer>>;
  readI64(name: string): Promise<BigInt64Array<ArrayBuffer>>;
  readI32(name: string): Promise<Int32Array<ArrayBuffer>>;
  /** Any kind, as stored. */
  readBytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Opens one safetensors file: its header is read and checked, its tensors are not read yet.
 *
 * @throws {ModelError} if the file is missing, cut off, or contradicts itself.
 */
export async function openSafetensors(path: string): Promise<Tensors> {
  const { tensors, metadata } = await readHeader(path);
  return tensorsOf(path, tensors, metadata);
}

/**
 * Opens a checkpoint folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names.
 *
 * @throws {ModelError} if there is neither, a shard is missing or cut off, or a tensor is not in the shard it should be
 * in.
 */
export async function folderTensors(folder: string): Promise<Tensors> {
  const whole = join(folder, 'model.safetensors');
  if (await exists(whole)) return openSafetensors(whole);

  const index = join(folder, 'model.safetensors.index.json');
  if (!(await exists(index))) {
    throw new ModelError(
      `${folder}  checkpoint: expected model.safetensors or model.safetensors.index.json; got neither`,
    );
  }
  const places = await readIndex(index);
  const files = [...new Set(places.values())];
  const headers = await Promise.all(files.map((file) => readHeader(join(folder, file))));

  const tensors = new Map<string, TensorInfo>();
  for (const [name, file] of places) {
    const info = headers[files.indexOf(file)]?.tensors.get(name);
    if (!info)
      throw new ModelError(
        `${join(folder, file)}  tensor ${JSON.stringify(name)}: expected it here, as ${index} says; got a shard without it`,
      );
    tensors.set(name, info);
  }
  return tensorsOf(folder, tensors, Object.assign({}, ...headers.map(({ metadata }) => metadata)));
}

function tensorsOf(
  where: string,
  tensors: ReadonlyMap<string, TensorInfo>,
  metadata: Readonly<Record<string, string>>,
): Tensors {
  const info = (name: string, kinds: readonly Dtype[] = []): TensorInfo => {
    const found = tensors.get(name);
    if (!found)
      throw new ModelError(
        `${where}  tensor ${JSON.stringify(name)}: expected it among ${tensors.size} tensors; got none of that name`,
      );
    if (kinds.length > 0 && !kinds.includes(found.dtype)) {
      throw new ModelError(
        `${found.file}  tensor ${JSON.stringify(name)}: expected ${kinds.join(' or ')}; got ${found.dtype}`,
      );
    }
    return found;
  };
  const readAs = async (name: string, ...kinds: readonly Dtype[]): Promise<ArrayBuffer> => {
    const place = info(name, kinds);
    const buffer = new ArrayBuffer(place.bytes);
    await fill(name, place, new Uint8Array(buffer));
    return buffer;
  };
  async function read(name: string): Promise<Float32Array<ArrayBuffer>>;
  async function read(name: string, into?: Float32Array): Promise<Float32Array>;
  async function read(name: string, into?: Float32Array): Promise<Float32Array> {
    const place = info(name, FLOATS);
    const values = into ?? new Float32Array(place.bytes / dtypeBytes[place.dtype]);
    // Halves are read to the end of the buffer: each is upcast before its own bytes are overwritten.
    const bytes = new Uint8Array(values.buffer, values.byteOffset + values.byteLength - place.bytes, place.bytes);
    await fill(name, place, bytes);
    if (place.dtype !== 'F32')
      (place.dtype === 'BF16' ? fromBf16 : fromF16)(
        new Uint16Array(bytes.buffer, bytes.byteOffset, values.length),
        values,
      );
    return values;
  }

  const refuse = (name: string, at: number, value?: number): never => {
    const got = value === undefined ? 'an infinity or NaN' : String(value);
    throw new ModelError(
      `${info(name).file}  tensor ${JSON.stringify(name)}: expected finite numbers; got ${got} at ${at}`,
    );
  };
  async function readFinite(name: string): Promise<Float32Array<ArrayBuffer>>;
  async function readFinite(name: string, into?: Float32Array): Promise<Float32Array>;
  async function readFinite(name: string, into?: Float32Array): Promise<Float32Array> {
    const values = await read(name, into);
    const at = firstNonFinite(values);
    return at < 0 ? values : refuse(name, at, values[at]);
  }
  async function same(one: string, other: string): Promise<boolean> {
    const [a, b] = [info(one), info(other)];
    if (a.dtype !== b.dtype || a.shape.join() !== b.shape.join()) return false;
    for (let from = 0; from < a.bytes; from += SCANNED) {
      const bytes = Math.min(SCANNED, a.bytes - from);
      const [left, right] = [new Uint8Array(bytes), new Uint8Array(bytes)];
      await fill(one, { file: a.file, offset: a.offset + from, bytes }, left);
      await fill(other, { file: b.file, offset: b.offset + from, bytes }, right);
      if (Buffer.compare(left, right) !== 0) return false;
    }
    return true;
  }
  async function checkFinite(name: string): Promise<void> {
    const { dtype, file, offset, bytes } = info(name, FLOATS);
    const width = dtypeBytes[dtype];
    const buffer = new ArrayBuffer(Math.min(SCANNED, bytes));
    for (let from = 0; from < bytes; from += SCANNED) {
      const part = new Uint8Array(buffer, 0, Math.min(SCANNED, bytes - from));
      await fill(name, { file, offset: offset + from, bytes: part.length }, part);
      const length = part.length / width;
      const at =
        dtype === 'F32'
          ? firstNonFinite(new Float32Array(buffer, 0, length))
          : firstNonFiniteHalf(new Uint16Array(buffer, 0, length), dtype === 'BF16' ? 0x7f80 : 0x7c00);
      if (at >= 0) refuse(name, from / width + at);
    }
  }

  return {
    names: [...tensors.keys()],
    metadata,
    has: (name) => tensors.has(name),
    info: (name) => info(name),
    read,
    readFinite,
    checkFinite,
    same,
    readF64: async (name) => new Float64Array(await readAs(name, 'F64')),
    readI64: async (name) => new BigInt64Array(await readAs(name, 'I64')),
    readI32: async (name) => new Int32Array(await readAs(name, 'I32')),
    readBytes: async (name) => new Uint8Array(await readAs(name)),
  };
}

/** Bytes of a tensor that `checkFinite` and `same` hold at once. */
const SCANNED = 1 << 24;

/** Bytes asked of the file system at once; one call gives less than 2 GiB. */
const CHUNK = 1 << 30;

async function fill(
  name: string,
  { file, offset, bytes }: Pick<TensorInfo, 'file' | 'offset' | 'bytes'>,
  into: Uint8Array,
): Promise<void> {
  const handle = await open(file);
  try {
    for (let at = 0; at < bytes;) {
      const { bytesRead } = await handle.read(into, at, Math.min(CHUNK, bytes - at), offset + at);
      if (bytesRead === 0)
        throw new ModelError(
          `${file}  tensor ${JSON.stringify(name)}: expected ${bytes} bytes; got ${at}; was the file cut meanwhile?`,
        );
      at += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

/** As of a header. */
const MOST_INDEX_BYTES = 100_000_000;

/** Tensor name to shard file, from a Hugging Face index. */
async function readIndex(path: string): Promise<Map<string, string>> {
  let index: unknown;
  try {
    const { size } = await stat(path);
    if (size > MOST_INDEX_BYTES) throw new Error(`${size} bytes`);
    index = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw new ModelError(`${path}  index: expected JSON; got ${messageOf(error)}`, { cause: error });
  }
  const map = typeof index === 'object' && index !== null && 'weight_map' in index ? index.weight_map : undefined;
  if (typeof map !== 'object' || map === null)
    throw new ModelError(`${path}  weight_map: expected tensor names with shard files; got ${shown(map)}`);

  const places = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    const beside = typeof shard === 'string' && shard === basename(shard) && shard.endsWith('.safetensors');
    if (!beside)
      throw new ModelError(
        `${path}  weight_map ${JSON.stringify(name)}: expected the name of a .safetensors file in this folder; got ${shown(shard)}`,
      );
    places.set(name, shard);
  }
  return places;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
