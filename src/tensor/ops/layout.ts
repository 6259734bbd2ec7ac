/** Layout of elements: names, order, parts, and values that grow. */
import { axisOf, count, isHalf, node, sameShape, ShapeError, sizeOf, type Shape, type Tensor } from '../graph.js';
import { once, without } from '../shapes.js';
import { dims, type Sizes } from './values.js';

/** The same data in another shape with the same number of elements. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return reshaped('reshape', x, shape);
}

function reshaped(operation: string, x: Tensor, shape: Shape): Tensor {
  if (count(shape) !== count(x.shape)) throw new ShapeError(operation, 'as many elements', x, { shape });
  once(operation, shape, x);
  return sameShape(shape, x.shape) ? x : node({ kind: 'reshape' }, [x], x.dtype, shape);
}

/** Gives dimensions other names. */
export function rename(x: Tensor, names: Readonly<Record<string, string>>): Tensor {
  for (const name of Object.keys(names)) axisOf('rename', x, name);
  return reshaped(
    'rename',
    x,
    x.shape.map((dim) => ({ ...dim, name: names[dim.name] ?? dim.name })),
  );
}

/** Cuts one dimension into several, outermost first; at most one size may be -1 and is inferred. */
export function split(x: Tensor, over: string, sizes: Sizes): Tensor {
  const axis = axisOf('split', x, over);
  const whole = x.shape[axis].size;
  const known = Object.values(sizes).reduce((product, size) => (size < 0 ? product : product * size), 1);
  const parts = Object.entries(sizes).map(([name, size]) => ({ name, size: size < 0 ? whole / known : size }));
  if (count(parts) !== whole || !parts.every(({ size }) => Number.isInteger(size)))
    throw new ShapeError('split', `parts of ${over}`, x, { shape: parts });
  return reshaped('split', x, [...x.shape.slice(0, axis), ...parts, ...x.shape.slice(axis + 1)]);
}

/** Joins dimensions into one, outermost first, at the place of the first; others keep their order. */
export function merge(x: Tensor, over: readonly string[], into: string): Tensor {
  if (over.length === 0) throw new ShapeError('merge', 'at least one dimension named', x);
  const [first] = over.map((name) => axisOf('merge', x, name)) as [number];
  if (new Set(over).size < over.length) throw new ShapeError('merge', `each dimension once, as ${over.join(', ')}`, x);
  const names = x.shape.map(({ name }) => name);
  const left = names.slice(0, first).filter((name) => !over.includes(name));
  const right = names.slice(first).filter((name) => !over.includes(name));
  const ordered = order(x, ...left, ...over, ...right);
  const size = over.reduce((product, name) => product * (sizeOf(x, name) as number), 1);
  const kept = (list: readonly string[]): Shape => list.map((name) => ({ name, size: sizeOf(x, name) as number }));
  return reshaped('merge', ordered, [...kept(left), { name: into, size }, ...kept(right)]);
}

/** Adds a dimension of size 1 in front. */
export function lift(x: Tensor, name: string): Tensor {
  return reshaped('lift', x, [{ name, size: 1 }, ...x.shape]);
}

/** Drops a dimension of size 1. */
export function drop(x: Tensor, name: string): Tensor {
  if (sizeOf(x, name) !== 1) throw new ShapeError('drop', `${name} of size 1`, x);
  return reshaped('drop', x, without(x, [name]));
}

/** Lays dimensions out in the given order; all must be named. */
export function order(x: Tensor, ...names: readonly string[]): Tensor {
  if (names.length !== x.shape.length || new Set(names).size < names.length)
    throw new ShapeError('order', `all dimensions named, as ${names.join(', ')}`, x);
  const shape = names.map((name) => x.shape[axisOf('order', x, name)]);
  return sameShape(shape, x.shape) ? x : node({ kind: 'transpose' }, [x], x.dtype, shape);
}

/** Repeats `x` along its missing dimensions, to exactly `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  if (sameShape(shape, x.shape)) return x;
  for (const { name, size } of x.shape)
    if (shape.find((dim) => dim.name === name)?.size !== size)
      throw new ShapeError('expand', 'a shape with the same dimensions', x, { shape });
  once('expand', shape, x);
  return node({ kind: 'expand' }, [x], x.dtype, shape);
}

/** `size` elements along a dimension, from `start` (negative counts from the end). */
export function slice(x: Tensor, over: string, start: number, size: number): Tensor {
  const whole = x.shape[axisOf('slice', x, over)].size;
  const from = start < 0 ? whole + start : start;
  if (from < 0 || size < 1 || from + size > whole)
    throw new ShapeError('slice', `${over} to hold ${from} to ${from + size}`, x);
  if (size === whole) return x;
  const open = raggedAlong(x, over) && from + size === whole;
  return node({ kind: 'slice', over, start: from }, [x], x.dtype, resized(x, over, size, open));
}

const raggedAlong = (x: Tensor, over: string): boolean => x.shape.some((dim) => dim.name === over && dim.ragged);

function resized(x: Tensor, over: string, size: number, ragged = false): Shape {
  return x.shape.map((dim) => (dim.name === over ? { name: over, size, ...(ragged ? { ragged } : {}) } : dim));
}

/** Zeros before and after along a dimension. */
export function pad(x: Tensor, over: string, before: number, after: number): Tensor {
  const whole = x.shape[axisOf('pad', x, over)].size;
  if (isHalf(x.dtype)) throw new ShapeError('pad', 'float32, int64 or bool', x);
  if (!(before >= 0 && after >= 0)) throw new ShapeError('pad', `zeros to add, not ${before} and ${after}`, x);
  if (before === 0 && after === 0) return x;
  return node({ kind: 'pad', over, before, after }, [x], x.dtype, resized(x, over, before + whole + after));
}

/** Joins values along a dimension; their other dimensions must agree in name and size. */
export function concat(parts: readonly Tensor[], over: string): Tensor {
  const first = parts[0];
  if (!first) throw new ShapeError('concat', 'at least one part');
  axisOf('concat', first, over);
  for (const part of parts) {
    const alike =
      part.shape.length === first.shape.length &&
      first.shape.every(({ name, size }) =>
        name === over ? sizeOf(part, name) !== undefined : sizeOf(part, name) === size,
      );
    if (part.dtype !== first.dtype || !alike)
      throw new ShapeError('concat', `parts that differ in ${over} only`, first, part);
  }
  if (parts.length === 1) return first;
  const aligned = parts.map((part) => order(part, ...first.shape.map(({ name }) => name)));
  const size = aligned.reduce((all, part) => all + (sizeOf(part, over) as number), 0);
  return node(
    { kind: 'concat', over },
    aligned,
    first.dtype,
    resized(
      first,
      over,
      size,
      aligned.some((part) => raggedAlong(part, over)),
    ),
  );
}

/** A float32 value that is empty along `over`, where a loop appends up to the given size. */
export function empty(sizes: Sizes, over: string): Tensor {
  const shape = dims(sizes).map((dim) => (dim.name === over ? { ...dim, ragged: true as const } : dim));
  if (!shape.some(({ ragged }) => ragged)) throw new ShapeError('empty', `a dimension called ${over}`, { shape });
  return node({ kind: 'constant', data: new Float32Array(0) }, [], 'float32', shape);
}

/**
 * `x` with one more element along a dimension made by `empty`; `value` has the other dimensions. Not differentiable.
 */
export function append(x: Tensor, over: string, value: Tensor): Tensor {
  const axis = axisOf('append', x, over);
  const rest = without(x, [over]);
  if (!raggedAlong(x, over) || value.dtype !== x.dtype || value.shape.length !== rest.length)
    throw new ShapeError('append', `a value made by empty, and one with all its dimensions but ${over}`, x, value);
  const ordered = order(value, ...rest.map(({ name }) => name));
  if (!sameShape(ordered.shape, rest)) throw new ShapeError('append', 'the same sizes', x, value);
  const one = reshape(ordered, [...rest.slice(0, axis), { name: over, size: 1 }, ...rest.slice(axis)]);
  return node({ kind: 'append', over }, [x, one], x.dtype, x.shape);
}
