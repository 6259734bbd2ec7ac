import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { ModelError } from '../../errors.js';
import { folderTensors, writeSafetensors, type Tensors } from '../../io/safetensors.js';
import { layoutOf, type Layout } from '../../tensor/session.js';
import type { QwenConfig } from './config.js';
import { newerName, weightShapes, type FirstValues, type WeightShape } from './weights.js';

/** All weights in one flat array on shared memory. */
export interface Store {
  readonly layout: Layout;
  readonly values: Float32Array;
  /** Shapes as the checkpoint's files have them, and the names there; none for weights that are not the checkpoint's. */
  readonly stored: ReadonlyMap<string, { readonly name: string; readonly shape: readonly number[] }>;
}

/**
 * Reads a checkpoint's weights, widened to float32.
 *
 * @param extra weights that the files don't have, with their first values.
 * @throws {ModelError} naming file, tensor, expected and got, before any weight is read.
 */
export async function loadWeights(dir: string, config: QwenConfig, extra: readonly FirstValues[] = []): Promise<Store> {
  const tensors = await folderTensors(dir);
  const shapes = weightShapes(config);
  const stored = new Map(shapes.map((shape) => [shape.name, found(dir, tensors, shape)]));
  const layout = layoutOf([...shapes, ...extra].map(({ name, sizes }) => ({ name, sizes: Object.values(sizes) })));
  const values = sharedValues(layout, extra);
  for (const { name, offset } of layout.entries) {
    const file = stored.get(name);
    if (file) values.set(await tensors.read(file.name), offset);
  }
  return { layout, values, stored };
}

/** A layout's values on shared memory: 0, but for those of which the first values are given. */
export function sharedValues(layout: Layout, known: readonly FirstValues[]): Float32Array {
  const values = new Float32Array(new SharedArrayBuffer(4 * layout.length));
  const firsts = new Map(known.map(({ name, first }) => [name, first]));
  for (const { name, offset, length } of layout.entries) {
    const first = firsts.get(name);
    if (first) for (let i = 0; i < length; i++) values[offset + i] = first(i);
  }
  return values;
}

/**
 * A weight's name and shape in a checkpoint's files, which may be of either naming.
 *
 * @throws {ModelError} if it is not there, or of another shape.
 */
export function found(dir: string, tensors: Tensors, { name, sizes }: WeightShape): { readonly name: string; readonly shape: readonly number[] } {
  const spelling = [name, newerName(name)].find((candidate) => tensors.has(candidate));
  if (spelling === undefined) throw new ModelError(`${dir}  ${name}: expected a tensor of that name; got none`);
  const { shape, file } = tensors.info(spelling);
  const expected = Object.values(sizes);
  const rows = expected[0] as number;
  const count = expected.reduce((product, size) => product * size, 1);
  if (shape[0] !== rows || shape.reduce((product, size) => product * size, 1) !== count) {
    throw new ModelError(`${file}  ${spelling}: expected shape [${expected.join(', ')}]; got [${shape.join(', ')}]`);
  }
  return { name: spelling, shape };
}

const WEIGHTS = /\.safetensors(\.index\.json)?$/;

/** Copies the checkpoint `from` to `dir` with new weights: written beside, then renamed. */
export async function saveWeights(from: string, dir: string, store: Store): Promise<void> {
  const tensors = store.layout.entries.flatMap(({ name, offset, length }) => {
    const known = store.stored.get(name);
    return known ? [{ name: known.name, dtype: 'F32' as const, shape: known.shape, data: Float32Array.from(store.values.subarray(offset, offset + length)) }] : [];
  });
  const copied = (file: string): boolean => !WEIGHTS.test(file) && file !== 'state.json';
  await replaceFolder(from, dir, copied, (fresh) => writeSafetensors(join(fresh, 'model.safetensors'), tensors, { format: 'pt' }));
}

/** Makes `dir` of some files of `from` and what `write` puts beside them: under another name first, then renamed. */
export async function replaceFolder(from: string, dir: string, copied: (file: string) => boolean, write: (fresh: string) => Promise<void>): Promise<void> {
  const fresh = `${dir}.partial`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  // What lies in Hugging Face's cache are links to files.
  for (const file of await readdir(from)) {
    if (copied(file) && (await stat(join(from, file))).isFile()) await copyFile(join(from, file), join(fresh, file));
  }
  await write(fresh);
  await rm(dir, { recursive: true, force: true });
  await rename(fresh, dir);
}
