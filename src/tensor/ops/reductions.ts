/** Operations along dimensions. */
import { axisOf, isHalf, node, ShapeError, type Tensor } from '../graph.js';
import { without } from '../shapes.js';

function reduce(fn: 'sum' | 'mean' | 'max', x: Tensor, over: readonly string[]): Tensor {
  if (x.dtype === 'bool' || isHalf(x.dtype) || (fn === 'mean' && x.dtype !== 'float32'))
    throw new ShapeError(fn, fn === 'mean' ? 'float32' : 'numbers', x);
  for (const name of over) axisOf(fn, x, name);
  return over.length === 0 ? x : node({ kind: 'reduce', fn, over }, [x], x.dtype, without(x, over));
}

export const sum = (x: Tensor, ...over: readonly string[]): Tensor => reduce('sum', x, over);
export const mean = (x: Tensor, ...over: readonly string[]): Tensor => reduce('mean', x, over);
export const max = (x: Tensor, ...over: readonly string[]): Tensor => reduce('max', x, over);
/** Sum over every dimension. */
export const total = (x: Tensor): Tensor => sum(x, ...x.shape.map(({ name }) => name));

/** First index of the largest value along a dimension, int64. */
export function argmax(x: Tensor, over: string): Tensor {
  if (x.dtype === 'bool' || isHalf(x.dtype)) throw new ShapeError('argmax', 'numbers', x);
  axisOf('argmax', x, over);
  return node({ kind: 'argmax', over }, [x], 'int64', without(x, [over]));
}

/** Running sum along a dimension, each element included. */
export function cumsum(x: Tensor, over: string): Tensor {
  if (x.dtype === 'bool' || isHalf(x.dtype)) throw new ShapeError('cumsum', 'numbers', x);
  axisOf('cumsum', x, over);
  return node({ kind: 'cumsum', over }, [x], x.dtype, x.shape);
}

/** The `size` largest values along a dimension, the largest first. Not differentiable. */
export function top(x: Tensor, over: string, size: number): Tensor {
  if (x.dtype === 'bool' || isHalf(x.dtype)) throw new ShapeError('top', 'numbers', x);
  const whole = x.shape[axisOf('top', x, over)].size;
  if (!(Number.isInteger(size) && size >= 1 && size <= whole))
    throw new ShapeError('top', `1 to ${whole} values of ${over}, not ${size}`, x);
  return node(
    { kind: 'top', over },
    [x],
    x.dtype,
    x.shape.map((dim) => (dim.name === over ? { name: over, size } : dim)),
  );
}

export function softmax(x: Tensor, over: string): Tensor {
  if (x.dtype !== 'float32') throw new ShapeError('softmax', 'float32', x);
  axisOf('softmax', x, over);
  return node({ kind: 'softmax', over, log: false }, [x], x.dtype, x.shape);
}

export function logSoftmax(x: Tensor, over: string): Tensor {
  if (x.dtype !== 'float32') throw new ShapeError('logSoftmax', 'float32', x);
  axisOf('logSoftmax', x, over);
  return node({ kind: 'softmax', over, log: true }, [x], x.dtype, x.shape);
}
