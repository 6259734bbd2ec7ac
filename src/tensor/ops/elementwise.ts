/** Operations element by element; operands broadcast by the names of their dimensions. */
import {
  isHalf,
  node,
  ShapeError,
  sizeOf,
  type Binary,
  type Compare,
  type DType,
  type Tensor,
  type Unary,
} from '../graph.js';
import { broadcast } from '../shapes.js';
import { constant, type Operand } from './values.js';

function scalar(value: number, like: DType): Tensor {
  return constant(like === 'int64' ? BigInt64Array.of(BigInt(value)) : Float32Array.of(value), {});
}

function operands(operation: string, a: Operand, b: Operand): [Tensor, Tensor] {
  for (const [value, other] of [
    [a, b],
    [b, a],
  ]) {
    if (typeof value === 'number' && typeof other === 'object' && other.dtype === 'int64' && !Number.isInteger(value))
      throw new ShapeError(operation, `a whole number beside int64, not ${value}`, other);
  }
  const like = typeof a === 'number' ? (typeof b === 'number' ? 'float32' : b.dtype) : a.dtype;
  return [typeof a === 'number' ? scalar(a, like) : a, typeof b === 'number' ? scalar(b, like) : b];
}

/** An expanded operand can stay small if the other one has its dimensions. */
function unexpanded(t: Tensor, other: Tensor): Tensor {
  const source = t.node.op.kind === 'expand' ? t.node.inputs[0] : undefined;
  return source && t.shape.every(({ name }) => sizeOf(other, name) !== undefined) ? source : t;
}

function binary(fn: Binary, x: Operand, y: Operand): Tensor {
  const [a, b] = operands(fn, x, y);
  const logical = fn === 'and' || fn === 'or';
  if (a.dtype !== b.dtype || isHalf(a.dtype) || (a.dtype === 'bool') !== logical)
    throw new ShapeError(fn, logical ? 'two bools' : 'two numbers of one type', a, b);
  const shape = broadcast(fn, a, b);
  const left = unexpanded(a, b);
  return node({ kind: 'binary', fn }, [left, unexpanded(b, left)], a.dtype, shape);
}

export const add = (a: Operand, b: Operand): Tensor => binary('add', a, b);
export const sub = (a: Operand, b: Operand): Tensor => binary('sub', a, b);
export const mul = (a: Operand, b: Operand): Tensor => binary('mul', a, b);
export const div = (a: Operand, b: Operand): Tensor => binary('div', a, b);
export const minimum = (a: Operand, b: Operand): Tensor => binary('min', a, b);
export const maximum = (a: Operand, b: Operand): Tensor => binary('max', a, b);
export const and = (a: Tensor, b: Tensor): Tensor => binary('and', a, b);
export const or = (a: Tensor, b: Tensor): Tensor => binary('or', a, b);

function compare(fn: Compare, x: Operand, y: Operand): Tensor {
  const [a, b] = operands(fn, x, y);
  if (a.dtype !== b.dtype || isHalf(a.dtype) || (a.dtype === 'bool' && fn !== 'equal'))
    throw new ShapeError(fn, fn === 'equal' ? 'two values of one type' : 'two numbers of one type', a, b);
  return node({ kind: 'compare', fn }, [a, b], 'bool', broadcast(fn, a, b));
}

export const less = (a: Operand, b: Operand): Tensor => compare('less', a, b);
export const lessEqual = (a: Operand, b: Operand): Tensor => compare('lessEqual', a, b);
export const greater = (a: Operand, b: Operand): Tensor => compare('greater', a, b);
export const greaterEqual = (a: Operand, b: Operand): Tensor => compare('greaterEqual', a, b);
export const equal = (a: Operand, b: Operand): Tensor => compare('equal', a, b);

function unary(fn: Unary, x: Tensor): Tensor {
  if (
    isHalf(x.dtype) ||
    (x.dtype === 'bool') !== (fn === 'not') ||
    (x.dtype === 'int64' && fn !== 'neg' && fn !== 'abs')
  ) {
    throw new ShapeError(fn, fn === 'not' ? 'a bool' : 'float32', x);
  }
  return node({ kind: 'unary', fn }, [x], x.dtype, x.shape);
}

export const neg = (x: Tensor): Tensor => unary('neg', x);
export const exp = (x: Tensor): Tensor => unary('exp', x);
export const log = (x: Tensor): Tensor => unary('log', x);
export const sqrt = (x: Tensor): Tensor => unary('sqrt', x);
export const reciprocal = (x: Tensor): Tensor => unary('reciprocal', x);
export const sigmoid = (x: Tensor): Tensor => unary('sigmoid', x);
export const tanh = (x: Tensor): Tensor => unary('tanh', x);
export const erf = (x: Tensor): Tensor => unary('erf', x);
export const abs = (x: Tensor): Tensor => unary('abs', x);
export const not = (x: Tensor): Tensor => unary('not', x);

/** x · sigmoid(x). */
export const silu = (x: Tensor): Tensor => unary('silu', x);
/** Exact GELU, by the error function; in the form that the runtime fuses into one pass. */
export const gelu = (x: Tensor): Tensor => mul(mul(x, add(erf(div(x, Math.SQRT2)), 1)), 0.5);
export const relu = (x: Tensor): Tensor => maximum(x, 0);
export const square = (x: Tensor): Tensor => mul(x, x);
/** `x` clamped to [low, high]. */
export const clip = (x: Tensor, low: number, high: number): Tensor => minimum(maximum(x, low), high);

/** -1, 0 or 1. */
export const sign = (x: Tensor): Tensor => sub(cast(greater(x, 0), 'float32'), cast(less(x, 0), 'float32'));

/** `yes` where the condition holds, else `no`; all three broadcast by name. */
export function where(condition: Tensor, yes: Operand, no: Operand): Tensor {
  if (condition.dtype !== 'bool') throw new ShapeError('where', 'a bool condition', condition);
  const [a, b] = operands('where', yes, no);
  if (a.dtype !== b.dtype) throw new ShapeError('where', 'branches of one type', a, b);
  if (isHalf(a.dtype)) throw new ShapeError('where', 'branches of float32, int64 or bool', a, b);
  const branches = broadcast('where', a, b);
  const shape = broadcast('where', condition, { ...a, shape: branches });
  // The runtime selects between numbers only.
  if (a.dtype === 'bool') return or(and(condition, a), and(not(condition), b));
  return node({ kind: 'where' }, [condition, a, b], a.dtype, shape);
}

/** The same values in another type: rounded to the nearest if it is narrower, ties to even. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  // An upcast half is used unchanged, so chained products pass it on.
  const [narrow] = x.node.inputs;
  if (x.node.op.kind === 'cast' && x.dtype === 'float32' && isHalf(dtype) && narrow?.dtype === dtype) return narrow;
  return node({ kind: 'cast' }, [x], dtype, x.shape);
}

/** The same value; no gradient flows through it. */
export function stopGradient(x: Tensor): Tensor {
  return node({ kind: 'stopGradient' }, [x], x.dtype, x.shape);
}
