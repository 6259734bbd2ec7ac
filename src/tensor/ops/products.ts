/** Sums of products, and the fused operations of a transformer layer. */
import { isFloat, node, sameShape, ShapeError, sizeOf, type Shape, type Tensor } from '../graph.js';
import { broadcast } from '../shapes.js';
import { computed } from './precision.js';

/**
 * Products of `a` and `b` summed over the named dimensions, times `scale`: computed in the current precision, with a
 * float32 result. Other shared names are batch dimensions; the result has those first, then `a`'s own dimensions, then
 * `b`'s own.
 */
export function dot(a: Tensor, b: Tensor, over: string | readonly string[], scale = 1): Tensor {
  const names = typeof over === 'string' ? [over] : over;
  if (!isFloat(a.dtype) || !isFloat(b.dtype)) throw new ShapeError('dot', 'two floating-point values', a, b);
  for (const name of names)
    if (sizeOf(a, name) === undefined || sizeOf(b, name) === undefined)
      throw new ShapeError('dot', `${name} on both sides`, a, b);
  broadcast('dot', a, b);
  const shared = a.shape.filter(({ name }) => !names.includes(name) && sizeOf(b, name) !== undefined);
  const own = (x: Tensor): Shape =>
    x.shape.filter((dim) => !names.includes(dim.name) && !shared.some(({ name }) => name === dim.name));
  const shape = [...shared, ...own(a), ...own(b)];
  return computed([a, b], (operands, dtype) => node({ kind: 'dot', over: names, scale }, operands, dtype, shape));
}

/** x / sqrt(mean(x²) + epsilon) · weight along one dimension, which must be the last. @see arXiv:1910.07467 */
export function rmsNorm(x: Tensor, weight: Tensor, over: string, epsilon: number): Tensor {
  if (x.dtype !== 'float32' || weight.dtype !== 'float32') throw new ShapeError('rmsNorm', 'float32', x, weight);
  if (x.shape.at(-1)?.name !== over || weight.shape.length !== 1 || sizeOf(weight, over) !== sizeOf(x, over))
    throw new ShapeError('rmsNorm', `${over} last, and a weight of ${over}`, x, weight);
  return node({ kind: 'rmsNorm', over, epsilon }, [x, weight], 'float32', x.shape);
}

/**
 * Rotary position embedding: halves (a, b) of `over` become (a·cos − b·sin, b·cos + a·sin).
 *
 * @param cos [… , half]: some dimensions of `x`, and half of `over` last. Same for `sin`.
 * @see arXiv:2104.09864
 */
export function rotate(x: Tensor, cos: Tensor, sin: Tensor, over: string): Tensor {
  if ([x, cos, sin].some(({ dtype }) => dtype !== 'float32')) throw new ShapeError('rotate', 'float32', x, cos, sin);
  const half = cos.shape.at(-1);
  const fits =
    x.shape.at(-1)?.name === over &&
    half !== undefined &&
    half.size * 2 === sizeOf(x, over) &&
    sameShape(cos.shape, sin.shape);
  const lead = cos.shape.slice(0, -1);
  if (
    !fits ||
    !lead.every(({ name, size }) => sizeOf(x, name) === size) ||
    (half.name !== over && sizeOf(x, half.name) !== undefined)
  )
    throw new ShapeError('rotate', `${over} last, tables of half its size`, x, cos, sin);
  return node({ kind: 'rotate', over }, [x, cos, sin], 'float32', x.shape);
}
