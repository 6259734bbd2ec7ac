/** Layers of frozen models, each one operation of the runtime; no gradient flows through them. */
import { isFloat, node, sameShape, ShapeError, sizeOf, type Dim, type Tensor } from '../graph.js';
import { cast } from './elementwise.js';
import { computed } from './precision.js';

const floats = (...values: readonly Tensor[]): boolean => values.every(({ dtype }) => isFloat(dtype));
const last = (x: Tensor): Dim | undefined => x.shape.at(-1);
const alike = (a: Dim | undefined, b: Dim | undefined): boolean =>
  a !== undefined && b !== undefined && sameShape([a], [b]);

/**
 * x · weightᵀ + bias along the last dimension of `x`, which becomes `out`.
 *
 * @param weight [out, in], `in` being the last of `x`.
 * @param bias [out]
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor): Tensor {
  const out = weight.shape[0];
  const fits =
    weight.shape.length === 2 && alike(last(weight), last(x)) && bias.shape.length === 1 && alike(last(bias), out);
  if (!floats(x, weight, bias) || !fits || !out)
    throw new ShapeError('linear', 'a weight of [out, in] and a bias of [out], `in` being last', x, weight, bias);
  if (x.shape.slice(0, -1).some(({ name }) => name === out.name))
    throw new ShapeError('linear', `a value without ${out.name}`, x, weight);
  const shape = [...x.shape.slice(0, -1), out];
  return computed([x, weight, bias], (inputs, dtype) => node({ kind: 'linear' }, inputs, dtype, shape));
}

/** (x - mean) / sqrt(variance + epsilon) · weight + bias along the last dimension. @see arXiv:1607.06450 */
export function layerNorm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: number): Tensor {
  const fits = [weight, bias].every((own) => own.shape.length === 1 && alike(last(own), last(x)));
  if (!floats(x, weight, bias) || !fits)
    throw new ShapeError('layerNorm', 'a weight and a bias of the last dimension', x, weight, bias);
  const inputs = [x, weight, bias].map((value) => cast(value, 'float32'));
  return node({ kind: 'layerNorm', epsilon }, inputs, 'float32', x.shape);
}

/**
 * Softmax attention of several heads: scores are scaled by 1 / √(width of a head), and never all in memory.
 *
 * @param q [… , query, width]; heads side by side in `width`.
 * @param k [… , key, width], and `v` as `k`; the dimensions in front are those of `q`.
 */
export function attend(q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor {
  const lead = q.shape.slice(0, -2);
  const fits =
    q.shape.length >= 2 &&
    sameShape(k.shape, v.shape) &&
    sameShape(k.shape.slice(0, -2), lead) &&
    alike(last(k), last(q));
  if (!floats(q, k, v) || !fits)
    throw new ShapeError('attend', 'queries, keys and values of one width, in step', q, k, v);
  if ((last(q) as Dim).size % heads !== 0) throw new ShapeError('attend', `a width of ${heads} heads`, q);
  return computed([q, k, v], (inputs, dtype) => node({ kind: 'attend', heads }, inputs, dtype, q.shape));
}

/**
 * Two-dimensional convolution of a square kernel, zeros around the image.
 *
 * @param x [channel, row, column]
 * @param weight [out, channel, side, side] under any names; `bias` is [out].
 * @returns [out, row, column] with the sizes that result from stride and padding.
 */
export function convolve(x: Tensor, weight: Tensor, bias: Tensor, stride: number, padding: number): Tensor {
  const [channel, row, column] = x.shape;
  const [out, into, high, wide] = weight.shape;
  const fits =
    x.shape.length === 3 &&
    weight.shape.length === 4 &&
    alike(channel, into) &&
    high?.size === wide?.size &&
    alike(last(bias), out) &&
    bias.shape.length === 1;
  if (!floats(x, weight, bias) || !fits || !row || !column || !out || !high)
    throw new ShapeError('convolve', '[channel, row, column], [out, channel, side, side] and [out]', x, weight, bias);
  const side = ({ name, size }: Dim): Dim => ({
    name,
    size: Math.floor((size + 2 * padding - high.size) / stride) + 1,
  });
  if (side(row).size < 1 || side(column).size < 1 || sizeOf(x, out.name) !== undefined)
    throw new ShapeError('convolve', 'a kernel inside the image', x, weight);
  const shape = [out, side(row), side(column)];
  return computed([x, weight, bias], (inputs, dtype) =>
    node({ kind: 'convolve', stride, padding }, inputs, dtype, shape),
  );
}
