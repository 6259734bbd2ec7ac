import { axisOf, count, node, nodeWith, sameShape, ShapeError, sizeOf, type Binary, type Compare, type Data, type Dim, type DType, type Shape, type Tensor, type Unary } from './graph.js';

/** A tensor, or a number that stands for a scalar. */
export type Operand = Tensor | number;

/** Sizes by name, in order: `{ prompt: 8, token: 30 }`. */
export type Sizes = Readonly<Record<string, number>>;

/** @throws {ShapeError} if a size is not a whole number. */
export function dims(sizes: Sizes): Shape {
  const shape = Object.entries(sizes).map(([name, size]) => ({ name, size }));
  if (!shape.every(({ size }) => Number.isInteger(size) && size >= 0)) throw new ShapeError('dims', 'whole sizes', { shape });
  return shape;
}

/** A value fed at each run. */
export function input(name: string, dtype: DType, sizes: Sizes): Tensor {
  return node({ kind: 'input', name }, [], dtype, dims(sizes));
}

/** A value that is part of the graph; numbers become float32. @throws {ShapeError} if data and sizes disagree. */
export function constant(data: Data | readonly number[], sizes: Sizes): Tensor {
  const flat = Array.isArray(data) ? Float32Array.from(data as readonly number[]) : (data as Data);
  const dtype: DType = flat instanceof Float32Array ? 'float32' : flat instanceof BigInt64Array ? 'int64' : 'bool';
  if (flat.length !== count(dims(sizes))) throw new ShapeError('constant', `${flat.length} elements`, { shape: dims(sizes) });
  return node({ kind: 'constant', data: flat }, [], dtype, dims(sizes));
}

/** 0, 1, 2 … along one dimension, int64. */
export function iota(name: string, size: number): Tensor {
  return constant(BigInt64Array.from({ length: size }, (_, i) => BigInt(i)), { [name]: size });
}

function scalar(value: number, like: DType): Tensor {
  return constant(like === 'int64' ? BigInt64Array.of(BigInt(value)) : Float32Array.of(value), {});
}

function operands(operation: string, a: Operand, b: Operand): [Tensor, Tensor] {
  for (const [value, other] of [[a, b], [b, a]]) {
    if (typeof value === 'number' && typeof other === 'object' && other.dtype === 'int64' && !Number.isInteger(value)) throw new ShapeError(operation, `a whole number beside int64, not ${value}`, other);
  }
  const like = typeof a === 'number' ? (typeof b === 'number' ? 'float32' : b.dtype) : a.dtype;
  return [typeof a === 'number' ? scalar(a, like) : a, typeof b === 'number' ? scalar(b, like) : b];
}

/** Names of both: in the order of the operand that has them all, else `a`'s and then what `b` adds. */
function broadcast(operation: string, a: Tensor, b: Tensor): Shape {
  for (const { name, size } of b.shape) {
    const other = sizeOf(a, name);
    if (other !== undefined && other !== size) throw new ShapeError(operation, `the same size of ${name}`, a, b);
  }
  const added = b.shape.filter(({ name }) => sizeOf(a, name) === undefined);
  if (added.length > 0 && a.shape.every(({ name }) => sizeOf(b, name) !== undefined)) return b.shape;
  return [...a.shape, ...added];
}

/** An expanded operand can stay small where the other one already has its dimensions. */
function unexpanded(t: Tensor, other: Tensor): Tensor {
  const source = t.node.op.kind === 'expand' ? t.node.inputs[0] : undefined;
  return source && t.shape.every(({ name }) => sizeOf(other, name) !== undefined) ? source : t;
}

function binary(fn: Binary, x: Operand, y: Operand): Tensor {
  const [a, b] = operands(fn, x, y);
  const logical = fn === 'and' || fn === 'or';
  if (a.dtype !== b.dtype || (a.dtype === 'bool') !== logical) throw new ShapeError(fn, logical ? 'two bools' : 'two numbers of one type', a, b);
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
  if (a.dtype !== b.dtype || (a.dtype === 'bool' && fn !== 'equal')) throw new ShapeError(fn, fn === 'equal' ? 'two values of one type' : 'two numbers of one type', a, b);
  return node({ kind: 'compare', fn }, [a, b], 'bool', broadcast(fn, a, b));
}

export const less = (a: Operand, b: Operand): Tensor => compare('less', a, b);
export const lessEqual = (a: Operand, b: Operand): Tensor => compare('lessEqual', a, b);
export const greater = (a: Operand, b: Operand): Tensor => compare('greater', a, b);
export const greaterEqual = (a: Operand, b: Operand): Tensor => compare('greaterEqual', a, b);
export const equal = (a: Operand, b: Operand): Tensor => compare('equal', a, b);

function unary(fn: Unary, x: Tensor): Tensor {
  if ((x.dtype === 'bool') !== (fn === 'not') || (x.dtype === 'int64' && fn !== 'neg' && fn !== 'abs')) {
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
export const silu = (x: Tensor): Tensor => mul(x, sigmoid(x));
/** Exact GELU, by the error function. */
export const gelu = (x: Tensor): Tensor => mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1));
export const square = (x: Tensor): Tensor => mul(x, x);
/** `x` held within [low, high]. */
export const clip = (x: Tensor, low: number, high: number): Tensor => minimum(maximum(x, low), high);

/** -1, 0 or 1. */
export const sign = (x: Tensor): Tensor => sub(cast(greater(x, 0), 'float32'), cast(less(x, 0), 'float32'));

/** `yes` where the condition holds, else `no`; all three broadcast by name. */
export function where(condition: Tensor, yes: Operand, no: Operand): Tensor {
  if (condition.dtype !== 'bool') throw new ShapeError('where', 'a bool condition', condition);
  const [a, b] = operands('where', yes, no);
  if (a.dtype !== b.dtype) throw new ShapeError('where', 'branches of one type', a, b);
  const branches = broadcast('where', a, b);
  const shape = broadcast('where', condition, { ...a, shape: branches });
  // The runtime selects between numbers only.
  if (a.dtype === 'bool') return or(and(condition, a), and(not(condition), b));
  return node({ kind: 'where' }, [condition, a, b], a.dtype, shape);
}

export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : node({ kind: 'cast' }, [x], dtype, x.shape);
}

const without = (x: Tensor, names: readonly string[]): Shape => x.shape.filter(({ name }) => !names.includes(name));

function reduce(fn: 'sum' | 'mean' | 'max', x: Tensor, over: readonly string[]): Tensor {
  if (x.dtype === 'bool' || (fn === 'mean' && x.dtype !== 'float32')) throw new ShapeError(fn, fn === 'mean' ? 'float32' : 'numbers', x);
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
  if (x.dtype === 'bool') throw new ShapeError('argmax', 'numbers', x);
  axisOf('argmax', x, over);
  return node({ kind: 'argmax', over }, [x], 'int64', without(x, [over]));
}

/** Running sum along a dimension, each element included. */
export function cumsum(x: Tensor, over: string): Tensor {
  if (x.dtype === 'bool') throw new ShapeError('cumsum', 'numbers', x);
  axisOf('cumsum', x, over);
  return node({ kind: 'cumsum', over }, [x], x.dtype, x.shape);
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

/**
 * Products of `a` and `b` summed over the named dimensions, times `scale`.
 *
 * Other shared names go in step; the result has those first, then `a`'s own dimensions, then `b`'s own.
 */
export function dot(a: Tensor, b: Tensor, over: string | readonly string[], scale = 1): Tensor {
  const names = typeof over === 'string' ? [over] : over;
  if (a.dtype !== 'float32' || b.dtype !== 'float32') throw new ShapeError('dot', 'two float32 values', a, b);
  for (const name of names) if (sizeOf(a, name) === undefined || sizeOf(b, name) === undefined) throw new ShapeError('dot', `${name} on both sides`, a, b);
  broadcast('dot', a, b);
  const shared = a.shape.filter(({ name }) => !names.includes(name) && sizeOf(b, name) !== undefined);
  const own = (x: Tensor): Shape => x.shape.filter((dim) => !names.includes(dim.name) && !shared.some(({ name }) => name === dim.name));
  return node({ kind: 'dot', over: names, scale }, [a, b], 'float32', [...shared, ...own(a), ...own(b)]);
}

/** The same data under another shape of as many elements. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return reshaped('reshape', x, shape);
}

function reshaped(operation: string, x: Tensor, shape: Shape): Tensor {
  if (count(shape) !== count(x.shape)) throw new ShapeError(operation, 'as many elements', x, { shape });
  once(operation, shape, x);
  return sameShape(shape, x.shape) ? x : node({ kind: 'reshape' }, [x], x.dtype, shape);
}

function once(operation: string, shape: Shape, ...from: readonly Tensor[]): void {
  if (new Set(shape.map(({ name }) => name)).size < shape.length) throw new ShapeError(operation, 'each name once', ...from, { shape });
}

/** Gives dimensions other names. */
export function rename(x: Tensor, names: Readonly<Record<string, string>>): Tensor {
  for (const name of Object.keys(names)) axisOf('rename', x, name);
  return reshaped('rename', x, x.shape.map((dim) => ({ ...dim, name: names[dim.name] ?? dim.name })));
}

/** Cuts one dimension into several, outermost first; at most one size may be -1 and is worked out. */
export function split(x: Tensor, over: string, sizes: Sizes): Tensor {
  const axis = axisOf('split', x, over);
  const whole = (x.shape[axis] as Dim).size;
  const known = Object.values(sizes).reduce((product, size) => (size < 0 ? product : product * size), 1);
  const parts = Object.entries(sizes).map(([name, size]) => ({ name, size: size < 0 ? whole / known : size }));
  if (count(parts) !== whole || !parts.every(({ size }) => Number.isInteger(size))) throw new ShapeError('split', `parts of ${over}`, x, { shape: parts });
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
  if (names.length !== x.shape.length || new Set(names).size < names.length) throw new ShapeError('order', `all dimensions named, as ${names.join(', ')}`, x);
  const shape = names.map((name) => x.shape[axisOf('order', x, name)] as Dim);
  return sameShape(shape, x.shape) ? x : node({ kind: 'transpose' }, [x], x.dtype, shape);
}

/** Repeats `x` along the dimensions that it lacks, to exactly `shape`. */
export function expand(x: Tensor, shape: Shape): Tensor {
  if (sameShape(shape, x.shape)) return x;
  for (const { name, size } of x.shape) if (shape.find((dim) => dim.name === name)?.size !== size) throw new ShapeError('expand', 'a shape with the same dimensions', x, { shape });
  once('expand', shape, x);
  return node({ kind: 'expand' }, [x], x.dtype, shape);
}

/** `size` elements along a dimension, from `start` (negative counts from the end). */
export function slice(x: Tensor, over: string, start: number, size: number): Tensor {
  const whole = (x.shape[axisOf('slice', x, over)] as Dim).size;
  const from = start < 0 ? whole + start : start;
  if (from < 0 || size < 1 || from + size > whole) throw new ShapeError('slice', `${over} to hold ${from} to ${from + size}`, x);
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
  const whole = (x.shape[axisOf('pad', x, over)] as Dim).size;
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
    const alike = part.shape.length === first.shape.length && first.shape.every(({ name, size }) => (name === over ? sizeOf(part, name) !== undefined : sizeOf(part, name) === size));
    if (part.dtype !== first.dtype || !alike) throw new ShapeError('concat', `parts that differ in ${over} only`, first, part);
  }
  if (parts.length === 1) return first;
  const aligned = parts.map((part) => order(part, ...first.shape.map(({ name }) => name)));
  const size = aligned.reduce((all, part) => all + (sizeOf(part, over) as number), 0);
  return node({ kind: 'concat', over }, aligned, first.dtype, resized(first, over, size, aligned.some((part) => raggedAlong(part, over))));
}

/** A float32 value with nothing in it yet along `over`, where a loop will append up to the size given. */
export function empty(sizes: Sizes, over: string): Tensor {
  const shape = dims(sizes).map((dim) => (dim.name === over ? { ...dim, ragged: true as const } : dim));
  if (!shape.some(({ ragged }) => ragged)) throw new ShapeError('empty', `a dimension called ${over}`, { shape });
  return node({ kind: 'constant', data: new Float32Array(0) }, [], 'float32', shape);
}

/** `x` with one more element along a dimension made by `empty`; `value` has the other dimensions. Not differentiable. */
export function append(x: Tensor, over: string, value: Tensor): Tensor {
  const axis = axisOf('append', x, over);
  const rest = without(x, [over]);
  if (!raggedAlong(x, over) || value.dtype !== x.dtype || value.shape.length !== rest.length) throw new ShapeError('append', `a value made by empty, and one with all its dimensions but ${over}`, x, value);
  const ordered = order(value, ...rest.map(({ name }) => name));
  if (!sameShape(ordered.shape, rest)) throw new ShapeError('append', 'the same sizes', x, value);
  const one = reshape(ordered, [...rest.slice(0, axis), { name: over, size: 1 }, ...rest.slice(axis)]);
  return node({ kind: 'append', over }, [x, one], x.dtype, x.shape);
}

/** Rows of `table` along `over`, one an index: that dimension is replaced by the index's own. */
export function gather(table: Tensor, over: string, index: Tensor): Tensor {
  const axis = axisOf('gather', table, over);
  if (index.dtype !== 'int64') throw new ShapeError('gather', 'an int64 index', table, index);
  for (const { name } of index.shape) if (name !== over && sizeOf(table, name) !== undefined) throw new ShapeError('gather', `an index without ${name}`, table, index);
  return node({ kind: 'gather', over }, [table, index], table.dtype, [...table.shape.slice(0, axis), ...index.shape, ...table.shape.slice(axis + 1)]);
}

/** Adds rows of `values` into zeros of `size` rows: `values` has the index's dimensions first. What `gather` is transposed. */
export function scatterAdd(values: Tensor, index: Tensor, over: string, size: number): Tensor {
  const lead = index.shape.length;
  if (values.dtype !== 'float32' || index.dtype !== 'int64') throw new ShapeError('scatterAdd', 'float32 values and an int64 index', values, index);
  if (!sameShape(values.shape.slice(0, lead), index.shape)) throw new ShapeError('scatterAdd', 'values that begin with the dimensions of the index', values, index);
  const shape = [{ name: over, size }, ...values.shape.slice(lead)];
  once('scatterAdd', shape, values, index);
  return node({ kind: 'scatterAdd', over }, [values, index], 'float32', shape);
}

/** One element along `over` for each index; the index has the other dimensions of `x`, by name. */
export function pick(x: Tensor, over: string, index: Tensor): Tensor {
  axisOf('pick', x, over);
  const rest = without(x, [over]);
  const fits = index.shape.length === rest.length && rest.every(({ name, size }) => sizeOf(index, name) === size);
  if (index.dtype !== 'int64' || !fits) throw new ShapeError('pick', `an int64 index with all dimensions but ${over}`, x, index);
  return node({ kind: 'pick', over }, [x, order(index, ...rest.map(({ name }) => name))], x.dtype, rest);
}

/** x / sqrt(mean(x²) + epsilon) · weight along one dimension, which must be the last. @see arXiv:1910.07467 */
export function rmsNorm(x: Tensor, weight: Tensor, over: string, epsilon: number): Tensor {
  if (x.dtype !== 'float32' || weight.dtype !== 'float32') throw new ShapeError('rmsNorm', 'float32', x, weight);
  if (x.shape.at(-1)?.name !== over || weight.shape.length !== 1 || sizeOf(weight, over) !== sizeOf(x, over)) throw new ShapeError('rmsNorm', `${over} last, and a weight of ${over}`, x, weight);
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
  const fits = x.shape.at(-1)?.name === over && half !== undefined && half.size * 2 === sizeOf(x, over) && sameShape(cos.shape, sin.shape);
  const lead = cos.shape.slice(0, -1);
  if (!fits || !lead.every(({ name, size }) => sizeOf(x, name) === size) || (half.name !== over && sizeOf(x, half.name) !== undefined)) throw new ShapeError('rotate', `${over} last, tables of half its size`, x, cos, sin);
  return node({ kind: 'rotate', over }, [x, cos, sin], 'float32', x.shape);
}

/** The same value; no gradient flows through it. */
export function stopGradient(x: Tensor): Tensor {
  return node({ kind: 'stopGradient' }, [x], x.dtype, x.shape);
}

/** Log-probabilities of `index` under a softmax of `logits` along `over`. */
export function logProbs(logits: Tensor, over: string, index: Tensor): Tensor {
  return pick(logSoftmax(logits, over), over, index);
}

const hole = (like: { readonly dtype: DType; readonly shape: Shape }): Tensor => node({ kind: 'state' }, [], like.dtype, like.shape);

/**
 * Traces `f` as a block whose inner values the backward pass computes anew instead of keeping.
 *
 * @see Chen et al., arXiv:1604.06174
 */
export function recompute(inputs: readonly Tensor[], f: (...inputs: Tensor[]) => readonly Tensor[]): readonly Tensor[] {
  const holes = inputs.map(hole);
  const results = f(...holes);
  return nodeWith({ kind: 'block', body: { holes, results } }, inputs, results);
}

/** What one turn of a loop hands on. */
export interface Turn<State extends Readonly<Record<string, Tensor>>, Collected extends Readonly<Record<string, Tensor>>> {
  /** Of the same types and shapes as the state that came in. */
  readonly state: State;
  /** Stacked over turns. */
  readonly collect: Collected;
  /** Scalar bool: whether to go on. */
  readonly going: Tensor;
}

/**
 * Runs `body` up to `steps` times; what does not depend on the turn is computed once, outside.
 *
 * Collected values come back with `step` first. A loop that ends early has fewer of them, so they may only leave the
 * graph as outputs. Not differentiable.
 *
 * @param body given the turn's number (int64 scalar, from 0) and the state.
 */
export function loop<State extends Readonly<Record<string, Tensor>>, Collected extends Readonly<Record<string, Tensor>>>(
  steps: number,
  initial: State,
  body: (turn: Tensor, state: State) => Turn<State, Collected>,
): { readonly state: State; readonly collected: Collected } {
  const names = Object.keys(initial);
  const turn = hole({ dtype: 'int64', shape: [] });
  const holes = names.map((name) => hole(initial[name] as Tensor));
  const made = body(turn, Object.fromEntries(names.map((name, i) => [name, holes[i]])) as unknown as State);
  for (const [i, name] of names.entries()) {
    const next = made.state[name] as Tensor;
    if (next.dtype !== holes[i]?.dtype || !sameShape(next.shape, (holes[i] as Tensor).shape)) throw new ShapeError('loop', `${name} to keep its type and shape`, holes[i] as Tensor, next);
  }
  if (made.going.dtype !== 'bool' || made.going.shape.length > 0) throw new ShapeError('loop', 'a scalar bool to go on by', made.going);
  const collect = Object.entries(made.collect);
  for (const [, value] of collect) if (sizeOf(value, 'step') !== undefined) throw new ShapeError('loop', 'collected values without a dimension called step', value);
  const results = [made.going, ...names.map((name) => made.state[name] as Tensor), ...collect.map(([, value]) => value)];
  const stacked = collect.map(([, { dtype, shape }]) => ({ dtype, shape: [{ name: 'step', size: steps }, ...shape] }));
  const outputs = nodeWith(
    { kind: 'loop', body: { holes: [turn, ...holes], results }, steps, collected: collect.length },
    names.map((name) => initial[name] as Tensor),
    [...holes, ...stacked],
  );
  const from = (keys: readonly string[], offset: number): unknown => Object.fromEntries(keys.map((key, i) => [key, outputs[offset + i]]));
  return { state: from(names, 0) as State, collected: from(collect.map(([key]) => key), names.length) as Collected };
}
