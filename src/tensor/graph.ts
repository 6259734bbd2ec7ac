/** Values of a traced computation: dimensions have names, and shape and type are checked while tracing. */

/** Floating point of half the width: stored, moved and multiplied; other arithmetic is float32. */
export type Half = 'bfloat16' | 'float16';

/** Format of products and of held weights. */
export type Precision = 'float32' | Half;

export type DType = Precision | 'int64' | 'bool';

export const isHalf = (dtype: DType): dtype is Half => dtype === 'bfloat16' || dtype === 'float16';
/** Bytes of an element. */
export const WIDTH: Readonly<Record<Precision, number>> = { float32: 4, bfloat16: 2, float16: 2 };
export const isFloat = (dtype: DType): dtype is Precision => dtype === 'float32' || isHalf(dtype);

/** One dimension; sizes are fixed when a graph is traced, except those that a loop appends to. */
export interface Dim {
  readonly name: string;
  readonly size: number;
  /** At run time there may be fewer than `size`. */
  readonly ragged?: true;
}

export type Shape = readonly Dim[];

/** Flat data of a tensor, row by row: bool as bytes 0 and 1, halves as their bits. */
export type Data = Float32Array | BigInt64Array | Uint8Array | Uint16Array;

/** Place of values in a file, little-endian, row by row. */
export interface Place {
  /** Absolute, and no symbolic link. */
  readonly file: string;
  /** Of the first byte. */
  readonly offset: number;
  /** Default: float32. */
  readonly dtype?: Precision;
}

export type Unary = 'neg' | 'exp' | 'log' | 'sqrt' | 'reciprocal' | 'sigmoid' | 'silu' | 'tanh' | 'erf' | 'abs' | 'not';
export type Binary = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'and' | 'or';
export type Compare = 'less' | 'lessEqual' | 'greater' | 'greaterEqual' | 'equal';

/** The operation of a node; the arguments are the node's inputs. */
export type Op =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'constant'; readonly data: Data }
  | { readonly kind: 'stored'; readonly place: Place }
  | { readonly kind: 'state' }
  | { readonly kind: 'unary'; readonly fn: Unary }
  | { readonly kind: 'binary'; readonly fn: Binary }
  | { readonly kind: 'compare'; readonly fn: Compare }
  | { readonly kind: 'where' }
  | { readonly kind: 'cast' }
  | { readonly kind: 'reduce'; readonly fn: 'sum' | 'mean' | 'max'; readonly over: readonly string[] }
  | { readonly kind: 'argmax'; readonly over: string }
  | { readonly kind: 'cumsum'; readonly over: string }
  | { readonly kind: 'top'; readonly over: string }
  | { readonly kind: 'softmax'; readonly over: string; readonly log: boolean }
  | { readonly kind: 'dot'; readonly over: readonly string[]; readonly scale: number }
  | { readonly kind: 'reshape' }
  | { readonly kind: 'transpose' }
  | { readonly kind: 'expand' }
  | { readonly kind: 'slice'; readonly over: string; readonly start: number }
  | { readonly kind: 'pad'; readonly over: string; readonly before: number; readonly after: number }
  | { readonly kind: 'concat'; readonly over: string }
  | { readonly kind: 'append'; readonly over: string }
  | { readonly kind: 'gather'; readonly over: string }
  | { readonly kind: 'scatterAdd'; readonly over: string }
  | { readonly kind: 'pick'; readonly over: string }
  | { readonly kind: 'rmsNorm'; readonly over: string; readonly epsilon: number }
  | { readonly kind: 'rotate'; readonly over: string }
  | { readonly kind: 'linear' }
  | { readonly kind: 'layerNorm'; readonly epsilon: number }
  | { readonly kind: 'attend'; readonly heads: number }
  | { readonly kind: 'convolve'; readonly stride: number; readonly padding: number }
  | { readonly kind: 'stopGradient' }
  | { readonly kind: 'block'; readonly body: Body; readonly pullBack?: BlockPullBack }
  | { readonly kind: 'loop'; readonly body: Body; readonly steps: number; readonly collected: number };

/**
 * A block's own backward pass.
 *
 * @param incoming adjoints of the outputs; undefined for unused ones.
 * @returns adjoints of the inputs, in order; undefined for those without one.
 */
export type BlockPullBack = (
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  incoming: readonly (Tensor | undefined)[],
) => readonly (Tensor | undefined)[];

/** A computation with holes: `holes` are bound when a block or loop runs; other tensors are captured from outside. */
export interface Body {
  readonly holes: readonly Tensor[];
  readonly results: readonly Tensor[];
}

export interface Node {
  /** Grows in trace order, so inputs always have smaller ids. */
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Where in the model it was traced; part of every message about it. */
  readonly scope: string;
}

/** One value of the computation. */
export interface Tensor {
  readonly node: Node;
  readonly index: number;
  readonly dtype: DType;
  readonly shape: Shape;
}

let nodes = 0;
const scopes: string[] = [];

/** Traces `f` with `name` appended to the scope that its nodes' messages carry. */
export function scoped<T>(name: string, f: () => T): T {
  scopes.push(name);
  try {
    return f();
  } finally {
    scopes.pop();
  }
}

/** Makes a node with one output of the given type and shape. */
export function node(op: Op, inputs: readonly Tensor[], dtype: DType, shape: Shape): Tensor {
  return nodeWith(op, inputs, [{ dtype, shape }])[0];
}

/** Makes a node with several outputs. */
export function nodeWith(
  op: Op,
  inputs: readonly Tensor[],
  outputs: readonly { readonly dtype: DType; readonly shape: Shape }[],
): readonly Tensor[] {
  const made: Tensor[] = [];
  const self: Node = { id: nodes++, op, inputs, outputs: made, scope: scopes.join('/') };
  for (const [index, { dtype, shape }] of outputs.entries()) made.push({ node: self, index, dtype, shape });
  return made;
}

/** `[token 7, width 32] float32`, as messages show a value. */
export function describe(value: { readonly dtype?: DType; readonly shape: Shape }): string {
  const dims = value.shape.map(({ name, size }) => `${name} ${size}`).join(', ');
  return `[${dims}]${value.dtype === undefined ? '' : ` ${value.dtype}`}`;
}

/** A mistake in a model's code, found while tracing. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';

  constructor(
    operation: string,
    expected: string,
    ...got: readonly { readonly dtype?: DType; readonly shape: Shape }[]
  ) {
    const where = scopes.length > 0 ? `${scopes.join('/')}/${operation}` : operation;
    super(`${where}: expected ${expected}; got ${got.map(describe).join(' and ') || 'none'}`);
  }
}

/** Size of a named dimension, or undefined where `value` has none of that name. */
export function sizeOf(value: { readonly shape: Shape }, name: string): number | undefined {
  return value.shape.find((dim) => dim.name === name)?.size;
}

export function axisOf(operation: string, value: Tensor, name: string): number {
  const axis = value.shape.findIndex((dim) => dim.name === name);
  if (axis < 0) throw new ShapeError(operation, `a dimension called ${name}`, value);
  return axis;
}

/** Number of elements. */
export function count(shape: Shape): number {
  return shape.reduce((product, { size }) => product * size, 1);
}

export function sameShape(a: Shape, b: Shape): boolean {
  return (
    a.length === b.length &&
    a.every((dim, i) => dim.name === b[i]?.name && dim.size === b[i]?.size && dim.ragged === b[i]?.ragged)
  );
}

/** Everything that `results` need, inputs first; a body's own nodes only when `within` is its results. */
export function reachable(results: readonly Tensor[], into: (n: Node) => readonly Tensor[] = (n) => n.inputs): Node[] {
  const seen = new Map<number, Node>();
  const stack = results.map((result) => result.node);
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    if (seen.has(next.id)) continue;
    seen.set(next.id, next);
    for (const { node: source } of into(next)) stack.push(source);
  }
  return [...seen.values()].toSorted((a, b) => a.id - b.id);
}

/** A node's inputs and, for blocks and loops, the outer tensors that its body captures. */
export function dependencies(n: Node): readonly Tensor[] {
  if (n.op.kind !== 'block' && n.op.kind !== 'loop') return n.inputs;
  return [...n.inputs, ...captured(n.op.body)];
}

/** Cache of analysed bodies: nested bodies would be walked repeatedly. */
const contents = new WeakMap<Body, { readonly nodes: readonly Node[]; readonly captured: readonly Tensor[] }>();

function contentsOf(body: Body): { readonly nodes: readonly Node[]; readonly captured: readonly Tensor[] } {
  const known = contents.get(body);
  if (known) return known;
  const holes = new Set(body.holes.map((hole) => hole.node.id));
  const inside = new Set<number>(holes);
  const all = reachable(body.results, dependencies);
  for (const n of all) if (dependencies(n).some((input) => inside.has(input.node.id))) inside.add(n.id);
  const nodes = all.filter((n) => inside.has(n.id) && !holes.has(n.id));
  const outer = new Map<string, Tensor>();
  for (const t of [...nodes.flatMap(dependencies), ...body.results])
    if (!inside.has(t.node.id)) outer.set(`${t.node.id}:${t.index}`, t);
  const found = { nodes, captured: [...outer.values()] };
  contents.set(body, found);
  return found;
}

/** The nodes of a body that depend on its holes, in trace order: what must run inside. */
export const bodyNodes = (body: Body): readonly Node[] => contentsOf(body).nodes;

/** The outer tensors that a body reads, besides its holes; each once. */
export const captured = (body: Body): readonly Tensor[] => contentsOf(body).captured;
