/** Values of traced graphs in float64, one element at a time: slow, and plain enough to be believed. */
import { fromBf16, fromF16, toBf16, toF16 } from '../../src/io/half.js';
import {
  bodyNodes,
  count,
  dependencies,
  reachable,
  type Binary,
  type Body,
  type Compare,
  type DType,
  type Node,
  type Op,
  type Shape,
  type Tensor,
  type Unary,
} from '../../src/tensor/graph.js';

/** A tensor's elements, row by row; int64 and bool as numbers. */
export interface Value {
  readonly shape: Shape;
  readonly data: Float64Array;
}

export type Fed = Readonly<Record<string, ArrayLike<number | bigint>>>;

/** A place in a tensor: an index by dimension. */
type Place = Readonly<Record<string, number>>;

/** @throws if an input is not fed. */
export function interpret(outputs: readonly Tensor[], fed: Fed): Value[] {
  const values = new Values(fed);
  for (const n of reachable(outputs, dependencies)) values.compute(n);
  return outputs.map((t) => values.of(t));
}

function places(shape: Shape): Place[] {
  return shape.reduce<Place[]>(
    (all, { name, size }) => all.flatMap((place) => Array.from({ length: size }, (_, i) => ({ ...place, [name]: i }))),
    [{}],
  );
}

/** Element at a place; dimensions that the value lacks are passed over. */
function at(value: Value, place: Place): number {
  let flat = 0;
  for (const { name, size } of value.shape) {
    const i = place[name];
    if (i === undefined || i < 0 || i >= size) throw new RangeError(`expected ${name} below ${size}; got ${i}`);
    flat = flat * size + i;
  }
  return value.data[flat];
}

function made(shape: Shape, element: (place: Place) => number): Value {
  return { shape, data: Float64Array.from(places(shape), element) };
}

const sizeIn = (shape: Shape, name: string): number => shape.find((dim) => dim.name === name)?.size as number;
const only = (shape: Shape, names: readonly string[]): Shape => shape.filter(({ name }) => names.includes(name));
const sum = (list: readonly number[]): number => list.reduce((all, x) => all + x, 0);
/** ONNX counts negative indices from the end. */
const wrapped = (i: number, size: number): number => (i < 0 ? i + size : i);

/** erf by its Taylor series, and by a continued fraction where that is slow. @see Abramowitz & Stegun 7.1.5, 7.1.14 */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 3) {
    let fraction = z;
    for (let k = 60; k > 0; k--) fraction = z + k / 2 / fraction;
    return Math.sign(x) * (1 - Math.exp(-z * z) / Math.sqrt(Math.PI) / fraction);
  }
  let term = x;
  let all = x;
  for (let k = 1; k < 80; k++) {
    term *= (-x * x) / k;
    all += term / (2 * k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * all;
}

const unary: Readonly<Record<Unary, (x: number) => number>> = {
  neg: (x) => -x,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  reciprocal: (x) => 1 / x,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  silu: (x) => x / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  erf,
  abs: Math.abs,
  not: (x) => 1 - x,
};

const binary: Readonly<Record<Binary, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: Math.min,
  max: Math.max,
  and: (a, b) => a * b,
  or: Math.max,
};

const compare: Readonly<Record<Compare, (a: number, b: number) => boolean>> = {
  less: (a, b) => a < b,
  lessEqual: (a, b) => a <= b,
  greater: (a, b) => a > b,
  greaterEqual: (a, b) => a >= b,
  equal: (a, b) => a === b,
};

/** The half nearest to a value, where the type is one. */
function rounded(dtype: DType, value: number): number {
  if (dtype !== 'bfloat16' && dtype !== 'float16') return value;
  const one = Float32Array.of(value);
  if (dtype === 'bfloat16') fromBf16(toBf16(one), one);
  else fromF16(toF16(one), one);
  return one[0];
}

/** How much there is along a ragged dimension of a result. */
function filled(op: Op, t: Tensor, name: string, inputs: readonly Value[]): number {
  const along = inputs.flatMap(({ shape }) => shape.filter((dim) => dim.name === name).map(({ size }) => size));
  if (op.kind === 'constant') return 0;
  if (op.kind === 'reshape') return inputs[0].data.length / count(t.shape.filter((dim) => dim.name !== name));
  if (op.kind === 'append' || op.kind === 'concat') return along.reduce((all, size) => all + size, 0);
  return along[0] - (op.kind === 'slice' ? op.start : 0);
}

class Values {
  readonly #known = new Map<string, Value>();
  readonly #fed: Fed;

  constructor(fed: Fed) {
    this.#fed = fed;
  }

  of(t: Tensor): Value {
    const known = this.#known.get(`${t.node.id}:${t.index}`);
    if (!known) throw new Error(`expected ${t.node.op.kind} ${t.node.id} to be computed before its use`);
    return known;
  }

  bind(t: Tensor, value: Value): void {
    this.#known.set(`${t.node.id}:${t.index}`, value);
  }

  compute(n: Node): void {
    if (n.op.kind === 'block') {
      const results = this.#body(
        n.op.body,
        n.inputs.map((t) => this.of(t)),
      );
      for (const [i, output] of n.outputs.entries()) this.bind(output, results[i]);
    } else if (n.op.kind === 'loop') this.#loop(n, n.op);
    else this.bind(n.outputs[0], this.#value(n, n.outputs[0]));
  }

  #body(body: Body, inputs: readonly Value[]): Value[] {
    for (const [i, hole] of body.holes.entries()) this.bind(hole, inputs[i]);
    for (const inner of bodyNodes(body)) this.compute(inner);
    return body.results.map((t) => this.of(t));
  }

  #loop(n: Node, op: Extract<Node['op'], { kind: 'loop' }>): void {
    let state = n.inputs.map((t) => this.of(t));
    const collected: Value[][] = Array.from({ length: op.collected }, () => []);
    for (let turn = 0, going = true; going && turn < op.steps; turn++) {
      const [goes, ...results] = this.#body(op.body, [{ shape: [], data: Float64Array.of(turn) }, ...state]);
      going = goes?.data[0] === 1;
      state = results.slice(0, state.length);
      for (const [i, value] of results.slice(state.length).entries()) collected[i]?.push(value);
    }
    const stacked = collected.map((list, i): Value => ({
      shape: [{ name: 'step', size: list.length }, ...n.outputs[state.length + i].shape.slice(1)],
      data: Float64Array.from(list.flatMap(({ data }) => [...data])),
    }));
    for (const [i, value] of [...state, ...stacked].entries()) this.bind(n.outputs[i], value);
  }

  #value(n: Node, t: Tensor): Value {
    const { op } = n;
    const inputs = n.inputs.map((x) => this.of(x));
    const [x, y, z] = inputs as [Value, Value, Value];
    const shape = t.shape.map((dim) => (dim.ragged ? { ...dim, size: filled(op, t, dim.name, inputs) } : dim));
    /** The values of `x` along some of its dimensions, the others held. */
    const along = (place: Place, names: readonly string[]): number[] =>
      places(only(x.shape, names)).map((inner) => at(x, { ...place, ...inner }));
    switch (op.kind) {
      case 'input': {
        const data = this.#fed[op.name];
        if (data?.length !== count(shape))
          throw new RangeError(`${op.name}: expected ${count(shape)} elements; got ${data?.length}`);
        return { shape, data: Float64Array.from(data, Number) };
      }
      case 'constant':
        return { shape, data: Float64Array.from(op.data as ArrayLike<number | bigint>, Number) };
      case 'unary':
        return made(shape, (place) => unary[op.fn](at(x, place)));
      case 'binary': {
        const whole = op.fn === 'div' && t.dtype === 'int64' ? Math.trunc : (q: number): number => q;
        return made(shape, (place) => whole(binary[op.fn](at(x, place), at(y, place))));
      }
      case 'compare':
        return made(shape, (place) => Number(compare[op.fn](at(x, place), at(y, place))));
      case 'where':
        return made(shape, (place) => at(at(x, place) === 1 ? y : z, place));
      case 'cast':
        return made(shape, (place) =>
          rounded(
            t.dtype,
            t.dtype === 'int64'
              ? Math.trunc(at(x, place))
              : t.dtype === 'bool'
                ? Number(at(x, place) !== 0)
                : at(x, place),
          ),
        );
      case 'reduce':
        return made(shape, (place) => {
          const list = along(place, op.over);
          return op.fn === 'max' ? Math.max(...list) : op.fn === 'mean' ? sum(list) / list.length : sum(list);
        });
      case 'argmax':
        return made(shape, (place) => {
          const list = along(place, [op.over]);
          return list.indexOf(Math.max(...list));
        });
      case 'cumsum':
        return made(shape, (place) => sum(along(place, [op.over]).slice(0, place[op.over] + 1)));
      case 'top':
        return made(shape, (place) => along(place, [op.over]).toSorted((a, b) => b - a)[place[op.over]]);
      case 'softmax':
        return made(shape, (place) => {
          const list = along(place, [op.over]);
          const largest = Math.max(...list);
          const own = at(x, place) - largest;
          const all = sum(list.map((v) => Math.exp(v - largest)));
          return op.log ? own - Math.log(all) : Math.exp(own) / all;
        });
      case 'dot':
        return made(shape, (place) =>
          rounded(
            t.dtype,
            op.scale *
              sum(
                places(only(x.shape, op.over)).map(
                  (inner) => at(x, { ...place, ...inner }) * at(y, { ...place, ...inner }),
                ),
              ),
          ),
        );
      case 'reshape':
        return { shape, data: x.data };
      case 'transpose':
      case 'expand':
      case 'stopGradient':
        return made(shape, (place) => at(x, place));
      case 'slice':
        return made(shape, (place) => at(x, { ...place, [op.over]: place[op.over] + op.start }));
      case 'pad':
        return made(shape, (place) => {
          const i = place[op.over] - op.before;
          return i < 0 || i >= sizeIn(x.shape, op.over) ? 0 : at(x, { ...place, [op.over]: i });
        });
      case 'concat':
        return made(shape, (place) => {
          let i = place[op.over];
          for (const part of inputs) {
            const size = sizeIn(part.shape, op.over);
            if (i < size) return at(part, { ...place, [op.over]: i });
            i -= size;
          }
          throw new RangeError(`expected parts to fill ${op.over}; got ${i} too many`);
        });
      case 'append': {
        const size = sizeIn(x.shape, op.over);
        return made(shape, (place) => (place[op.over] < size ? at(x, place) : at(y, { ...place, [op.over]: 0 })));
      }
      case 'gather':
        return made(shape, (place) => at(x, { ...place, [op.over]: wrapped(at(y, place), sizeIn(x.shape, op.over)) }));
      case 'scatterAdd': {
        const size = sizeIn(shape, op.over);
        const targets = places(y.shape).map((place) => ({ place, row: wrapped(at(y, place), size) }));
        return made(shape, (place) =>
          sum(
            targets.filter(({ row }) => row === place[op.over]).map((target) => at(x, { ...place, ...target.place })),
          ),
        );
      }
      case 'pick':
        return made(shape, (place) => at(x, { ...place, [op.over]: wrapped(at(y, place), sizeIn(x.shape, op.over)) }));
      case 'rmsNorm':
        return made(shape, (place) => {
          const list = along(place, [op.over]);
          return (at(x, place) / Math.sqrt(sum(list.map((v) => v * v)) / list.length + op.epsilon)) * at(y, place);
        });
      case 'rotate': {
        const half = sizeIn(shape, op.over) / 2;
        const table = (y.shape.at(-1) as { name: string }).name;
        return made(shape, (place) => {
          const i = place[op.over];
          const angle = { ...place, [table]: i % half };
          const other = at(x, { ...place, [op.over]: (i + half) % (2 * half) });
          return at(x, place) * at(y, angle) + (i < half ? -other : other) * at(z, angle);
        });
      }
      case 'stored':
      case 'linear':
      case 'layerNorm':
      case 'attend':
      case 'convolve':
        throw new Error(`${op.kind}: expected to be compared with numbers from elsewhere`);
      case 'state':
      case 'block':
      case 'loop':
        throw new Error(`${op.kind}: expected to be bound by its graph`);
    }
  }
}
