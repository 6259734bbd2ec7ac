import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';

import { ModelError } from '../../errors.js';
import { fromBf16, fromF16, toBf16, toF16 } from '../../io/half.js';
import { FLOATS, folderTensors, type Dtype, type Tensors } from '../../io/safetensors.js';
import type { Half, Place, Precision } from '../../tensor/graph.js';
import type { Engine } from '../../tensor/engine.js';
import { layoutOf, type Layout } from '../../tensor/layout.js';
import type { VlmConfig } from './architecture.js';
import { heldIn, type FirstValues, type WeightShape } from './weights.js';

/** A checkpoint's weights in its files, with checked names, shapes and types; no values are read yet. */
export interface WeightFiles {
  readonly dir: string;
  readonly shapes: readonly WeightShape[];
  readonly tensors: Tensors;
  /** Name of each weight in the files. */
  readonly names: ReadonlyMap<string, string>;
  /** Names of stored tensors that nothing uses; a tied head that is stored as well is not among them. */
  readonly unused: readonly string[];
}

/** Weights in one flat array on shared memory. */
export interface Store {
  readonly layout: Layout;
  readonly values: Float32Array;
}

/**
 * Finds a checkpoint's weights.
 *
 * @throws {ModelError} naming file, tensor, expected and got, before any weight is read.
 */
export async function findWeights(dir: string, config: VlmConfig): Promise<WeightFiles> {
  const { architecture } = config;
  const tensors = await folderTensors(dir);
  const shapes = architecture.weightShapes(config);
  const names = shapes.map(
    (shape) => [shape.name, found(dir, tensors, shape, architecture.newerName(shape.name))] as const,
  );
  const used = new Set(names.map(([, spelling]) => spelling));
  if (config.text.tied) used.add(`${architecture.modules.head}.weight`);
  const unused = tensors.names.filter((name) => !used.has(name));
  return { dir, shapes, tensors, names: new Map(names), unused };
}

function found(dir: string, tensors: Tensors, { name, sizes }: WeightShape, newer: string): string {
  const spelling = [name, newer].find((candidate) => tensors.has(candidate));
  if (spelling === undefined) throw new ModelError(`${dir}  ${name}: expected a tensor of that name; got none`);
  const { shape, file, dtype } = tensors.info(spelling);
  if (!FLOATS.some((known) => known === dtype))
    throw new ModelError(`${file}  ${spelling}: expected no quantization: ${FLOATS.join(', ')}; got ${dtype}`);
  const expected = Object.values(sizes);
  const rows = expected[0];
  const count = expected.reduce((product, size) => product * size, 1);
  if (shape[0] !== rows || shape.reduce((product, size) => product * size, 1) !== count) {
    throw new ModelError(`${file}  ${spelling}: expected shape [${expected.join(', ')}]; got [${shape.join(', ')}]`);
  }
  return spelling;
}

/** Values that one array holds: 16 GiB of float32. */
const MOST = 2 ** 32;

/**
 * Reads weights to be trained, upcast to float32.
 *
 * @param extra weights that the files don't have, with their initial values.
 * @throws {ModelError} if they are more than one array holds.
 */
export async function readWeights(
  { dir, shapes, tensors, names }: WeightFiles,
  extra: readonly FirstValues[] = [],
): Promise<Store> {
  const layout = layoutOf([...shapes, ...extra].map(({ name, sizes }) => ({ name, sizes: Object.values(sizes) })));
  if (layout.length > MOST)
    throw new ModelError(
      `${dir}  weights: expected at most ${MOST} that learn; got ${layout.length}; way out: train an adapter, train: { lora: … }`,
    );
  const values = sharedValues(layout, extra);
  for (const { name, offset, length } of layout.entries) {
    const file = names.get(name);
    if (file !== undefined) await tensors.readFinite(file, values.subarray(offset, offset + length));
  }
  return { layout, values };
}

/** Name of a precision in files. */
const STORED: Readonly<Record<Precision, Dtype>> = { float32: 'F32', bfloat16: 'BF16', float16: 'F16' };

const NARROW = { bfloat16: { to: toBf16, from: fromBf16 }, float16: { to: toF16, from: fromF16 } } as const;

/**
 * Gives an engine frozen weights, as a set: tensors in the graphs' format are memory-mapped, others are converted one
 * by one, a copy for each worker. Each tensor has its own array, so their total is limited only by memory.
 *
 * @param precision of products; see `heldIn`.
 */
export async function lendWeights(
  engine: Engine,
  set: string,
  { shapes, tensors, names }: WeightFiles,
  precision: Precision = 'float32',
): Promise<void> {
  const places = new Map<string, Place>();
  const read: { readonly name: string; readonly file: string; readonly held: Precision }[] = [];
  let folder: string | undefined;
  for (const shape of shapes) {
    const { name } = shape;
    const held = heldIn(shape, precision);
    const spelling = names.get(name) as string;
    const { dtype, file, offset } = tensors.info(spelling);
    const real = await realpath(file);
    // The runtime looks for files in one folder.
    const kept = dtype === STORED[held] && (held === 'float32' || engine.traits.halves);
    if (kept && (folder ??= dirname(real)) === dirname(real)) {
      await tensors.checkFinite(spelling);
      places.set(name, { file: real, offset, dtype: held });
    } else read.push({ name, file: spelling, held });
  }
  await engine.places(set, places);
  for (const { name, file, held } of read)
    await engine.tensor(set, name, inType(await tensors.readFinite(file), held, engine.traits.halves));
}

/** Values as an engine holds them: rounded to halves, or to float32 values of halves if it holds no halves. */
function inType(
  values: Float32Array<ArrayBuffer>,
  held: Precision,
  halves: boolean,
): Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer> {
  if (held === 'float32') return values;
  return halves ? NARROW[held].to(values) : rounded(values, held);
}

function rounded(values: Float32Array<ArrayBuffer>, half: Half): Float32Array<ArrayBuffer> {
  NARROW[half].from(NARROW[half].to(values), values);
  return values;
}

/** A layout's values on shared memory: 0, except given initial values. */
export function sharedValues(layout: Layout, known: readonly FirstValues[]): Float32Array {
  const values = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  const firsts = new Map(known.map(({ name, first }) => [name, first]));
  for (const { name, offset, length } of layout.entries) {
    const first = firsts.get(name);
    if (first) for (let i = 0; i < length; i++) values[offset + i] = first(i);
  }
  return values;
}
