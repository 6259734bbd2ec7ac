/** Leaves of a graph: inputs and constants. */
import { count, node, ShapeError, type Data, type DType, type Place, type Shape, type Tensor } from '../graph.js';

/** A tensor, or a number that stands for a scalar. */
export type Operand = Tensor | number;

/** Sizes by name, in order: `{ prompt: 8, token: 30 }`. */
export type Sizes = Readonly<Record<string, number>>;

/** @throws {ShapeError} if a size is not a whole number. */
export function dims(sizes: Sizes): Shape {
  const shape = Object.entries(sizes).map(([name, size]) => ({ name, size }));
  if (!shape.every(({ size }) => Number.isInteger(size) && size >= 0))
    throw new ShapeError('dims', 'whole sizes', { shape });
  return shape;
}

/** A value fed at each run. */
export function input(name: string, dtype: DType, sizes: Sizes): Tensor {
  return node({ kind: 'input', name }, [], dtype, dims(sizes));
}

/** A value that is part of the graph; numbers become float32. @throws {ShapeError} if data and sizes disagree. */
export function constant(data: Exclude<Data, Uint16Array> | readonly number[], sizes: Sizes): Tensor {
  const flat = Array.isArray(data)
    ? Float32Array.from(data as readonly number[])
    : (data as Exclude<Data, Uint16Array>);
  const dtype: DType = flat instanceof Float32Array ? 'float32' : flat instanceof BigInt64Array ? 'int64' : 'bool';
  if (flat.length !== count(dims(sizes)))
    throw new ShapeError('constant', `${flat.length} elements`, { shape: dims(sizes) });
  return node({ kind: 'constant', data: flat }, [], dtype, dims(sizes));
}

/**
 * A value in a file, with the file's type: the runtime memory-maps it when the graph is opened, without a copy. All
 * such values of a graph must be in one folder.
 */
export function stored(place: Place, sizes: Sizes): Tensor {
  return node({ kind: 'stored', place }, [], place.dtype ?? 'float32', dims(sizes));
}

/** 0, 1, 2 … along one dimension, int64. */
export function iota(name: string, size: number): Tensor {
  return constant(
    BigInt64Array.from({ length: size }, (_, i) => BigInt(i)),
    { [name]: size },
  );
}
