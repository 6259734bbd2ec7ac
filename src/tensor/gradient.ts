/** Reverse-mode differentiation: a function from graph to graph. */
import {
  count,
  dependencies,
  isFloat,
  reachable,
  scoped,
  ShapeError,
  sizeOf,
  type Dim,
  type Node,
  type Op,
  type Tensor,
} from './graph.js';
import { Adjoints, key, type Contribution } from './adjoints.js';
import { blockBackward, loopBackward } from './bodies.js';
import {
  add,
  cast,
  constant,
  cumsum,
  div,
  dot,
  equal,
  exp,
  expand,
  gather,
  iota,
  less,
  lessEqual,
  mean,
  mul,
  neg,
  order,
  pad,
  reciprocal,
  rename,
  reshape,
  rotate,
  scatterAdd,
  sigmoid,
  sign,
  slice,
  sqrt,
  square,
  sub,
  sum,
  where,
} from './ops.js';

/**
 * Gradients of a scalar with respect to some of the values it was computed from.
 *
 * @returns one tensor a `wrt`, of its shape, float32 for any type of `wrt`; zeros where `loss` does not depend on it.
 * @throws {ShapeError} if `loss` is not a float32 scalar, or depends on a `wrt` through an operation without a
 * gradient.
 */
export function gradient(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.shape.length > 0 || loss.dtype !== 'float32') throw new ShapeError('gradient', 'a float32 scalar', loss);
  return pullBack([loss], [constant([1], {})], wrt);
}

function pullBack(
  outputs: readonly Tensor[],
  seeds: readonly (Tensor | undefined)[],
  wrt: readonly Tensor[],
  bounds: readonly Tensor[] = [],
): Tensor[] {
  const given = new Set(bounds.map((t) => t.node.id));
  const nodes = reachable(outputs, (n) => (given.has(n.id) ? [] : dependencies(n)));
  const needed = new Set(wrt.map((t) => t.node.id));
  for (const n of nodes) if (dependencies(n).some((t) => needed.has(t.node.id))) needed.add(n.id);

  const adjoints = new Adjoints();
  for (const [i, output] of outputs.entries()) {
    const seed = seeds[i];
    if (seed) adjoints.add(output, seed);
  }
  const complete = firstRead(nodes, wrt);
  for (const n of nodes.toReversed()) {
    if (!needed.has(n.id) || given.has(n.id) || dependencies(n).length === 0) continue;
    const incoming = n.outputs.map((output) => adjoints.get(output));
    if (incoming.every((dy) => dy === undefined)) continue;
    scoped(`gradient of ${n.scope}`, () => {
      for (const [to, adjoint] of backward(n, incoming, needed))
        if (isFloat(to.dtype) && needed.has(to.node.id)) adjoints.add(to, adjoint);
    });
    // Summed as soon as all contributions are known: the runtime computes in trace order, and frees the inputs.
    for (const t of complete.get(n.id) ?? []) adjoints.get(t);
  }
  return wrt.map((t) => adjoints.get(t) ?? expand(constant([0], {}), t.shape));
}

/** Values by the node that reads them first, and so contributes last to their adjoint. */
function firstRead(nodes: readonly Node[], values: readonly Tensor[]): ReadonlyMap<number, readonly Tensor[]> {
  const left = new Map(values.map((t) => [key(t), t]));
  return new Map(nodes.map((n) => [n.id, dependencies(n).filter((t) => left.delete(key(t)))]));
}

/** Contributions of a node's incoming adjoints to each of its inputs. */
function backward(
  n: Node,
  incoming: readonly (Tensor | undefined)[],
  needed: ReadonlySet<number>,
): readonly Contribution[] {
  if (n.op.kind === 'block' && n.op.pullBack) {
    const adjoints = n.op.pullBack(n.inputs, n.outputs, incoming);
    return n.inputs.flatMap((to, i): Contribution[] => (adjoints[i] ? [[to, adjoints[i]]] : []));
  }
  if (n.op.kind === 'block') return blockBackward(n.op.body, n.inputs, incoming, needed, pullBack);
  if (n.op.kind === 'loop') return loopBackward(n, n.op, incoming, needed, pullBack);
  const rule = rules[n.op.kind] as Rule<Op['kind']> | undefined;
  if (!rule) throw new ShapeError(n.op.kind, 'an operation with a gradient', ...n.outputs);
  return rule({ op: n.op, y: n.outputs[0], dy: incoming[0] as Tensor, inputs: n.inputs });
}

interface Step<K extends Op['kind']> {
  readonly op: Extract<Op, { kind: K }>;
  readonly inputs: readonly Tensor[];
  readonly y: Tensor;
  readonly dy: Tensor;
}

type Rule<K extends Op['kind']> = (step: Step<K>) => readonly Contribution[];

/** Sums over the dimensions that broadcasting added. */
function reduced(dy: Tensor, to: Tensor): Tensor {
  return sum(dy, ...dy.shape.map(({ name }) => name).filter((name) => sizeOf(to, name) === undefined));
}

const two = (inputs: readonly Tensor[]): [Tensor, Tensor] => [inputs[0], inputs[1]];
const one = (inputs: readonly Tensor[]): Tensor => inputs[0];
const float = (x: Tensor): Tensor => cast(x, 'float32');

const unaryRules: Readonly<Record<string, (x: Tensor, y: Tensor, dy: Tensor) => Tensor>> = {
  neg: (_, __, dy) => neg(dy),
  exp: (_, y, dy) => mul(dy, y),
  log: (x, _, dy) => div(dy, x),
  sqrt: (_, y, dy) => div(mul(dy, 0.5), y),
  reciprocal: (_, y, dy) => neg(mul(dy, square(y))),
  sigmoid: (_, y, dy) => mul(dy, mul(y, sub(1, y))),
  silu: (x, y, dy) => mul(dy, add(y, mul(sigmoid(x), sub(1, y)))),
  tanh: (_, y, dy) => mul(dy, sub(1, square(y))),
  erf: (x, _, dy) => mul(dy, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))),
  abs: (x, _, dy) => mul(dy, sign(x)),
};

/** Share of the larger operand: 1, or 1/2 at a tie. */
const share = (ahead: Tensor, level: Tensor): Tensor => mul(add(float(ahead), float(level)), 0.5);

const binaryRules: Readonly<Record<string, (a: Tensor, b: Tensor, dy: Tensor) => readonly [Tensor, Tensor]>> = {
  add: (_, __, dy) => [dy, dy],
  sub: (_, __, dy) => [dy, neg(dy)],
  mul: (a, b, dy) => [mul(dy, b), mul(dy, a)],
  div: (a, b, dy) => [div(dy, b), neg(div(mul(dy, a), square(b)))],
  max: (a, b, dy) => [mul(dy, share(less(b, a), lessEqual(b, a))), mul(dy, share(less(a, b), lessEqual(a, b)))],
  min: (a, b, dy) => [mul(dy, share(less(a, b), lessEqual(a, b))), mul(dy, share(less(b, a), lessEqual(b, a)))],
};

const rules: { readonly [K in Op['kind']]?: Rule<K> } = {
  unary: ({ op, inputs, y, dy }) => {
    const rule = unaryRules[op.fn];
    return rule ? [[one(inputs), rule(one(inputs), y, dy)]] : [];
  },
  binary: ({ op, inputs, dy }) => {
    const [a, b] = two(inputs);
    const rule = binaryRules[op.fn];
    if (!rule) return [];
    const [da, db] = rule(a, b, dy);
    return [
      [a, reduced(da, a)],
      [b, reduced(db, b)],
    ];
  },
  where: ({ inputs, dy }) => {
    const [condition, yes, no] = inputs as [Tensor, Tensor, Tensor];
    return [
      [yes, reduced(where(condition, dy, 0), yes)],
      [no, reduced(where(condition, 0, dy), no)],
    ];
  },
  cast: ({ inputs, dy }) => [[one(inputs), dy]],
  compare: () => [],
  argmax: () => [],
  stopGradient: () => [],
  reduce: ({ op, inputs, y, dy }) => {
    const x = one(inputs);
    if (op.fn === 'sum') return [[x, expand(dy, x.shape)]];
    if (op.fn === 'mean') return [[x, expand(mul(dy, count(y.shape) / count(x.shape)), x.shape)]];
    const largest = float(equal(x, y));
    return [[x, mul(div(largest, sum(largest, ...op.over)), dy)]];
  },
  cumsum: ({ op, inputs, dy }) => {
    // Each element is in every later sum: the total minus the running sum before it.
    const x = one(inputs);
    const lower = sub(cumsum(dy, op.over), dy);
    return [[x, sub(sum(dy, op.over), lower)]];
  },
  softmax: ({ op, inputs, y, dy }) => {
    const x = one(inputs);
    if (op.log) return [[x, sub(dy, mul(exp(y), sum(dy, op.over)))]];
    const weighted = mul(dy, y);
    return [[x, sub(weighted, mul(y, sum(weighted, op.over)))]];
  },
  dot: ({ op, inputs, dy }) => {
    const [a, b] = two(inputs);
    const own = (x: Tensor, other: Tensor): string[] =>
      x.shape.map(({ name }) => name).filter((name) => sizeOf(other, name) === undefined);
    return [
      [a, dot(dy, b, own(b, a), op.scale)],
      [b, dot(dy, a, own(a, b), op.scale)],
    ];
  },
  reshape: ({ inputs, dy }) => [[one(inputs), reshape(dy, one(inputs).shape)]],
  transpose: ({ inputs, dy }) => [[one(inputs), dy]],
  expand: ({ inputs, dy }) => [[one(inputs), reduced(dy, one(inputs))]],
  slice: ({ op, inputs, y, dy }) => {
    const x = one(inputs);
    const after = (sizeOf(x, op.over) as number) - op.start - (sizeOf(y, op.over) as number);
    return [[x, pad(dy, op.over, op.start, after)]];
  },
  pad: ({ op, inputs, dy }) => [[one(inputs), slice(dy, op.over, op.before, sizeOf(one(inputs), op.over) as number)]],
  concat: ({ op, inputs, dy }) => {
    let start = 0;
    return inputs.map((part): Contribution => {
      const size = sizeOf(part, op.over) as number;
      start += size;
      return [part, slice(dy, op.over, start - size, size)];
    });
  },
  gather: ({ op, inputs, dy }) => {
    const [table, index] = two(inputs);
    const rest = table.shape.map(({ name }) => name).filter((name) => name !== op.over);
    const rows = order(dy, ...index.shape.map(({ name }) => name), ...rest);
    return [[table, scatterAdd(rows, index, op.over, sizeOf(table, op.over) as number)]];
  },
  scatterAdd: ({ op, inputs, dy }) => {
    const [values, index] = two(inputs);
    return [[values, gather(dy, op.over, index)]];
  },
  pick: ({ op, inputs, dy }) => {
    const [x, index] = two(inputs);
    return [[x, where(equal(index, iota(op.over, sizeOf(x, op.over) as number)), dy, 0)]];
  },
  rmsNorm: ({ op, inputs, dy }) => {
    const [x, weight] = two(inputs);
    const scale = reciprocal(sqrt(add(mean(square(x), op.over), op.epsilon)));
    const unit = mul(x, scale);
    const g = mul(dy, weight);
    const dx = mul(sub(g, mul(unit, mean(mul(g, unit), op.over))), scale);
    return [
      [x, dx],
      [weight, reduced(mul(dy, unit), weight)],
    ];
  },
  rotate: ({ op, inputs, dy }) => {
    const [x, cos, sin] = inputs as [Tensor, Tensor, Tensor];
    const size = sizeOf(x, op.over) as number;
    const table = (cos.shape.at(-1) as Dim).name;
    const halves = (whole: Tensor): Tensor[] =>
      [0, size / 2].map((start) => rename(slice(whole, op.over, start, size / 2), { [op.over]: table }));
    const [a, b, da, db] = [...halves(x), ...halves(dy)] as [Tensor, Tensor, Tensor, Tensor];
    return [
      [x, rotate(dy, cos, neg(sin), op.over)],
      [cos, reduced(add(mul(a, da), mul(b, db)), cos)],
      [sin, reduced(sub(mul(a, db), mul(b, da)), sin)],
    ];
  },
};
