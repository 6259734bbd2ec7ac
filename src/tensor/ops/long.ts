/**
 * Sums along long dimensions, in blocks: a long sum of floats is inaccurate, and a long running sum takes quadratic
 * time on a GPU.
 */
import { axisOf, ShapeError, sizeOf, type Tensor } from '../graph.js';
import { without } from '../shapes.js';
import { add, and, cast, div, exp, less, lessEqual, log, mul, stopGradient, sub, where } from './elementwise.js';
import { pick } from './indexing.js';
import { drop, expand, pad, slice, split } from './layout.js';
import { cumsum, logSoftmax, max, sum } from './reductions.js';
import type { Operand } from './values.js';

/** Elements that are summed at once: among 128, values much below the largest still lose 6e-7 of the whole. */
const SHORT = 64;

/** Fixed point: the largest element becomes 2^40, so that the sum of a short dimension fits into an int64. */
const ONE = 2 ** 40;

/** Floats of a cache line: if rows are not multiples of it, the CPU's kernels sum them in different orders. */
const LINE = 16;

/**
 * Sum along a dimension, as accurate for any size as for 64 elements, and bit-equal for any position of its row in the
 * tensor.
 */
export function sumByBlocks(x: Tensor, over: string): Tensor {
  const size = lengthOf('sumByBlocks', x, over);
  if (size <= SHORT) return sum(padded(x, over, LINE), over);
  const { blocks, block } = cut(x, over);
  return sumByBlocks(sum(blocks, over), block);
}

/**
 * Logarithm, bit-equal for any position of a value in the tensor: the CPU's kernel has another formula for the last
 * few.
 */
export function logAnywhere(x: Tensor): Tensor {
  return drop(slice(log(expand(x, [{ name: 'lane', size: LINE }, ...x.shape])), 'lane', 0, 1), 'lane');
}

/** Elements up to which the runtime's own log-softmax is as accurate: over 150,000 it is off by 1e-4. */
const LONG = 4096;

/** Log-softmax along a dimension, as accurate for any size as for a few thousand elements. */
export function logSoftmaxByBlocks(x: Tensor, over: string): Tensor {
  if (lengthOf('logSoftmaxByBlocks', x, over) <= LONG) return logSoftmax(x, over);
  // The subtracted value does not change the result, nor its gradient.
  const below = sub(x, stopGradient(max(x, over)));
  return sub(below, logAnywhere(sumByBlocks(exp(below), over)));
}

/**
 * First index along a dimension at which the running sum exceeds a share of the whole: the inverse of a cumulative
 * distribution.
 *
 * Never an element of 0: for a share of 1 or more, the last one above 0. Off by at most 1e-6 of the whole, for any
 * size. Not differentiable.
 *
 * @param x float32, none below 0 and not all 0.
 * @param share [… without `over`], from 0.
 * @returns int64 [… without `over`]
 */
export function quantile(x: Tensor, over: string, share: Operand): Tensor {
  if (x.dtype !== 'float32') throw new ShapeError('quantile', 'float32', x);
  const { index } = locate(x, over, share);
  const last = lengthOf('quantile', x, over) - 1;
  // For NaN, the index may be one of the padding zeros.
  return where(lessEqual(index, last), index, last);
}

/** An element, and the share of it before the target, 0 to 1. */
interface Located {
  readonly index: Tensor;
  readonly rest: Tensor;
}

function locate(x: Tensor, over: string, share: Operand): Located {
  if (lengthOf('quantile', x, over) <= SHORT) return locateInShort(x, over, share);
  const { blocks, block } = cut(x, over);
  const outer = locate(sum(blocks, over), block, share);
  const chosen = pick(blocks, block, expand(outer.index, without(blocks, [block])));
  const inner = locate(chosen, over, outer.rest);
  return { index: add(mul(outer.index, sizeOf(chosen, over) as number), inner.index), rest: inner.rest };
}

function locateInShort(x: Tensor, over: string, share: Operand): Located {
  // A running sum of floats accumulates errors, most for equal values; integers don't, and each is rounded once.
  const running = cast(cumsum(cast(mul(div(x, max(x, over)), ONE), 'int64'), over), 'float32');
  const total = max(running, over);
  const target = mul(total, share);
  const passed = and(lessEqual(running, target), less(running, total));
  const index = sum(cast(passed, 'int64'), over);
  const before = max(where(passed, running, 0), over);
  return { index, rest: div(sub(target, before), sub(pick(running, over, index), before)) };
}

/** Cuts a dimension into blocks of `SHORT`, padded with zeros; within a block it keeps its name. */
function cut(x: Tensor, over: string): { readonly blocks: Tensor; readonly block: string } {
  const whole = padded(x, over, SHORT);
  const block = `${over} block`;
  return { blocks: split(whole, over, { [block]: (sizeOf(whole, over) as number) / SHORT, [over]: SHORT }), block };
}

/** Pads with zeros to a multiple of a size. */
function padded(x: Tensor, over: string, size: number): Tensor {
  const length = sizeOf(x, over) as number;
  const missing = Math.ceil(length / size) * size - length;
  return missing === 0 ? x : pad(x, over, 0, missing);
}

const lengthOf = (operation: string, x: Tensor, over: string): number => x.shape[axisOf(operation, x, over)].size;
