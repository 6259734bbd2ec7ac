/** Elements chosen by index. */
import { axisOf, node, sameShape, ShapeError, sizeOf, type Tensor } from '../graph.js';
import { once, without } from '../shapes.js';
import { order } from './layout.js';
import { logSoftmax } from './reductions.js';

/** Rows of `table` along `over`, one for each index: that dimension is replaced by the index's own. */
export function gather(table: Tensor, over: string, index: Tensor): Tensor {
  const axis = axisOf('gather', table, over);
  if (index.dtype !== 'int64') throw new ShapeError('gather', 'an int64 index', table, index);
  for (const { name } of index.shape)
    if (name !== over && sizeOf(table, name) !== undefined)
      throw new ShapeError('gather', `an index without ${name}`, table, index);
  return node({ kind: 'gather', over }, [table, index], table.dtype, [
    ...table.shape.slice(0, axis),
    ...index.shape,
    ...table.shape.slice(axis + 1),
  ]);
}

/**
 * Adds rows of `values` into zeros of `size` rows: `values` has the index's dimensions first. The transpose of
 * `gather`.
 */
export function scatterAdd(values: Tensor, index: Tensor, over: string, size: number): Tensor {
  const lead = index.shape.length;
  if (values.dtype !== 'float32' || index.dtype !== 'int64')
    throw new ShapeError('scatterAdd', 'float32 values and an int64 index', values, index);
  if (!sameShape(values.shape.slice(0, lead), index.shape))
    throw new ShapeError('scatterAdd', 'values that begin with the dimensions of the index', values, index);
  const shape = [{ name: over, size }, ...values.shape.slice(lead)];
  once('scatterAdd', shape, values, index);
  return node({ kind: 'scatterAdd', over }, [values, index], 'float32', shape);
}

/** One element along `over` for each index; the index has the other dimensions of `x`, by name. */
export function pick(x: Tensor, over: string, index: Tensor): Tensor {
  axisOf('pick', x, over);
  const rest = without(x, [over]);
  const fits = index.shape.length === rest.length && rest.every(({ name, size }) => sizeOf(index, name) === size);
  if (index.dtype !== 'int64' || !fits)
    throw new ShapeError('pick', `an int64 index with all dimensions but ${over}`, x, index);
  return node({ kind: 'pick', over }, [x, order(index, ...rest.map(({ name }) => name))], x.dtype, rest);
}

/** Log-probabilities of `index` under a softmax of `logits` along `over`. */
export function logProbs(logits: Tensor, over: string, index: Tensor): Tensor {
  return pick(logSoftmax(logits, over), over, index);
}
