/** One operation → ONNX nodes: names become positions. */
import {
  count,
  isHalf,
  type Data,
  type Dim,
  type DType,
  type Op,
  type Place,
  type Shape,
  type Tensor,
} from '../graph.js';
import { ELEMENT, type Attributes } from './schema.js';

/**
 * The kernels that a graph is emitted for. The CPU has none for halves: there a half is a float32 with a half's value,
 * and results are rounded to halves.
 */
export type Dialect = 'cpu' | 'cuda';

/** The graph that receives an operation's nodes. */
export interface Writer {
  readonly dialect: Dialect;
  /** Name of a value written before. */
  name(t: Tensor): string;
  /**
   * Adds an ONNX node and gives the name of its first output.
   *
   * @param more.spare further outputs, which are unused
   */
  node(
    opType: string,
    input: readonly string[],
    attributes: Attributes,
    more: { readonly label: string; readonly domain?: string; readonly spare?: number },
  ): string;
  constant(data: Data, dims: readonly number[]): string;
  ints(values: readonly number[]): string;
  /** Adds an initializer that stays in its file. */
  stored(place: Place, dims: readonly number[]): string;
}

/**
 * Emits the computation of `t` from `inputs` and returns its name.
 *
 * @param label where in the model it was traced.
 */
export function operation(writer: Writer, label: string, op: Op, inputs: readonly Tensor[], t: Tensor): string {
  const add: Add = (opType, input, attributes = {}, domain = '', spare = 0) =>
    writer.node(opType, input, attributes, { label, domain, spare });
  return new Emission(writer, add).value(op, inputs, t);
}

const sizes = (shape: Shape): number[] => shape.map(({ size }) => size);
const position = (shape: Shape, name: string): number => shape.findIndex((dim) => dim.name === name);

const UNARY = {
  neg: 'Neg',
  exp: 'Exp',
  log: 'Log',
  sqrt: 'Sqrt',
  reciprocal: 'Reciprocal',
  sigmoid: 'Sigmoid',
  tanh: 'Tanh',
  erf: 'Erf',
  abs: 'Abs',
  not: 'Not',
} as const;
const BINARY = {
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  min: 'Min',
  max: 'Max',
  and: 'And',
  or: 'Or',
} as const;
const COMPARE = {
  less: 'Less',
  lessEqual: 'LessOrEqual',
  greater: 'Greater',
  greaterEqual: 'GreaterOrEqual',
  equal: 'Equal',
} as const;
const REDUCE = { sum: 'ReduceSum', mean: 'ReduceMean', max: 'ReduceMax' } as const;

type Add = (
  opType: string,
  input: readonly string[],
  attributes?: Attributes,
  domain?: string,
  spare?: number,
) => string;

/** ONNX nodes of one operation. */
class Emission {
  readonly writer: Writer;
  readonly add: Add;

  constructor(writer: Writer, add: Add) {
    this.writer = writer;
    this.add = add;
  }

  value(op: Op, inputs: readonly Tensor[], t: Tensor): string {
    const names = inputs.map((x) => this.writer.name(x));
    const [x, y] = inputs as [Tensor, Tensor];
    const [first, second, third] = names as [string, string, string];
    switch (op.kind) {
      case 'constant':
        return this.writer.constant(
          op.data,
          t.shape.map(({ size, ragged }) => (ragged ? 0 : size)),
        );
      case 'stored':
        return this.writer.stored(op.place, sizes(t.shape));
      case 'unary':
        return op.fn === 'silu'
          ? this.add('QuickGelu', [first], { alpha: { float: 1 } }, 'com.microsoft')
          : this.add(UNARY[op.fn], [first]);
      case 'binary':
        return this.add(BINARY[op.fn], [this.aligned(x, t.shape), this.aligned(y, t.shape)]);
      case 'compare':
        return this.add(COMPARE[op.fn], [this.aligned(x, t.shape), this.aligned(y, t.shape)]);
      case 'where':
        return this.add(
          'Where',
          inputs.map((part) => this.aligned(part, t.shape)),
        );
      case 'cast':
        return this.#cast(first, x.dtype, t.dtype);
      case 'reduce':
        return this.add(REDUCE[op.fn], [first, this.writer.ints(op.over.map((name) => position(x.shape, name)))], {
          keepdims: 0,
        });
      case 'argmax':
        return this.add('ArgMax', [first], { axis: position(x.shape, op.over), keepdims: 0 });
      case 'cumsum':
        return this.add('CumSum', [
          first,
          this.writer.constant(BigInt64Array.of(BigInt(position(x.shape, op.over))), []),
        ]);
      case 'top':
        return this.add(
          'TopK',
          [first, this.writer.ints([t.shape[position(t.shape, op.over)].size])],
          { axis: position(x.shape, op.over) },
          '',
          1,
        );
      case 'softmax':
        return this.add(op.log ? 'LogSoftmax' : 'Softmax', [first], { axis: position(x.shape, op.over) });
      case 'dot':
        return this.#dot(op, x, y, t);
      case 'reshape':
        return this.reshaped(first, t.shape);
      case 'transpose':
        return this.add('Transpose', [first], { perm: t.shape.map(({ name }) => position(x.shape, name)) });
      case 'expand':
        return this.add('Expand', [this.aligned(x, t.shape), this.writer.ints(sizes(t.shape))]);
      case 'slice': {
        const axis = position(x.shape, op.over);
        return this.add('Slice', [
          first,
          this.writer.ints([op.start]),
          this.writer.ints([t.shape[axis].ragged ? Number.MAX_SAFE_INTEGER : op.start + t.shape[axis].size]),
          this.writer.ints([axis]),
        ]);
      }
      case 'pad': {
        // CUDA can't pad integers.
        if (x.dtype === 'int64') return this.#widened(op, x, first);
        const before = x.shape.map(({ name }) => (name === op.over ? op.before : 0));
        const after = x.shape.map(({ name }) => (name === op.over ? op.after : 0));
        return this.add('Pad', [first, this.writer.ints([...before, ...after])]);
      }
      case 'concat':
        return this.add('Concat', names, { axis: position(t.shape, op.over) });
      case 'append':
        return this.add('Concat', names, { axis: position(t.shape, op.over) });
      case 'gather':
        return this.add('Gather', [first, second], { axis: position(x.shape, op.over) });
      case 'scatterAdd': {
        const index = this.add('Unsqueeze', [second, this.writer.ints([y.shape.length])]);
        const zeros = this.add('ConstantOfShape', [this.writer.ints(sizes(t.shape))]);
        return this.add('ScatterND', [zeros, index, first], { reduction: 'add' });
      }
      case 'pick': {
        const axis = position(x.shape, op.over);
        const index = this.add('Unsqueeze', [second, this.writer.ints([axis])]);
        return this.add('Squeeze', [this.add('GatherElements', [first, index], { axis }), this.writer.ints([axis])]);
      }
      case 'rmsNorm':
        return this.add('RMSNormalization', [first, second], { axis: -1, epsilon: { float: op.epsilon } });
      case 'rotate':
        return this.#rotate(x, y, first, second, third, t);
      case 'linear':
        return this.reshaped(
          this.#rounded(this.add('Gemm', [this.#rows(x, first, 2), second, third], { transB: 1 }), t.dtype),
          t.shape,
        );
      case 'layerNorm':
        return this.add('LayerNormalization', [first, second, third], { axis: -1, epsilon: { float: op.epsilon } });
      case 'attend':
        return this.reshaped(
          this.#rounded(
            this.add(
              'MultiHeadAttention',
              inputs.map((part, i) => this.#rows(part, names[i], 3)),
              { num_heads: op.heads },
              'com.microsoft',
            ),
            t.dtype,
          ),
          t.shape,
        );
      case 'convolve': {
        const image = this.add('Reshape', [first, this.writer.ints([1, ...sizes(x.shape)])]);
        const around = [op.padding, op.padding, op.padding, op.padding];
        return this.reshaped(
          this.#rounded(
            this.add('Conv', [image, second, third], { strides: [op.stride, op.stride], pads: around }),
            t.dtype,
          ),
          t.shape,
        );
      }
      case 'stopGradient':
        return first;
      case 'input':
      case 'state':
      case 'block':
      case 'loop':
        throw new Error(`${op.kind}: expected an operation that stands alone; got one that its graph must bind`);
    }
  }

  #cast(value: string, from: DType, to: DType): string {
    if (this.writer.dialect === 'cuda') return this.add('Cast', [value], { to: ELEMENT[to] });
    if (isHalf(to))
      return this.#rounded(
        from === 'float32' || isHalf(from) ? value : this.add('Cast', [value], { to: ELEMENT.float32 }),
        to,
      );
    return isHalf(from) && to === 'float32' ? value : this.add('Cast', [value], { to: ELEMENT[to] });
  }

  /** A float32 result of the CPU, rounded to a half. */
  #rounded(value: string, dtype: DType): string {
    if (this.writer.dialect === 'cuda' || !isHalf(dtype)) return value;
    return this.add('Cast', [this.add('Cast', [value], { to: ELEMENT[dtype] })], { to: ELEMENT.float32 });
  }

  /** A value laid out to broadcast by position against `shape`. */
  aligned(x: Tensor, shape: Shape): string {
    const wanted = shape.filter(({ name }) => position(x.shape, name) >= 0);
    let name = this.writer.name(x);
    if (wanted.some((dim, i) => dim.name !== x.shape[i]?.name))
      name = this.add('Transpose', [name], { perm: wanted.map((dim) => position(x.shape, dim.name)) });
    const lead = wanted[0] === undefined ? shape.length : position(shape, wanted[0].name);
    if (shape.slice(lead).length === wanted.length) return name;
    return this.add('Reshape', [
      name,
      this.writer.ints(
        shape.slice(lead).map((dim) => (position(x.shape, dim.name) < 0 ? 1 : dim.ragged ? -1 : dim.size)),
      ),
    ]);
  }

  reshaped(name: string, shape: Shape): string {
    return this.add('Reshape', [name, this.writer.ints(shape.map(({ size, ragged }) => (ragged ? -1 : size)))]);
  }

  /** A value with its leading dimensions joined, so that `rank` are left. */
  #rows(x: Tensor, name: string, rank: number): string {
    if (x.shape.length === rank) return name;
    const kept = x.shape.slice(1 - rank);
    return this.add('Reshape', [name, this.writer.ints([count(x.shape.slice(0, 1 - rank)), ...sizes(kept)])]);
  }

  /** Zeros before and after, joined on. */
  #widened({ over, before, after }: Extract<Op, { kind: 'pad' }>, x: Tensor, name: string): string {
    const zeros = (length: number): string[] => {
      const dims = x.shape.map((dim) => (dim.name === over ? length : dim.size));
      return length > 0
        ? [this.writer.constant(new BigInt64Array(dims.reduce((product, size) => product * size, 1)), dims)]
        : [];
    };
    return this.add('Concat', [...zeros(before), name, ...zeros(after)], { axis: position(x.shape, over) });
  }

  #dot(op: Extract<Op, { kind: 'dot' }>, a: Tensor, b: Tensor, t: Tensor): string {
    const inner = a.shape.filter(({ name }) => op.over.includes(name));
    const batch = a.shape.filter(({ name }) => !op.over.includes(name) && position(b.shape, name) >= 0);
    const own = (x: Tensor): Shape =>
      x.shape.filter(({ name }) => !op.over.includes(name) && !batch.some((dim) => dim.name === name));
    const left = this.#matrix(a, batch, own(a), inner, false);
    const right = this.#matrix(b, batch, own(b), inner, true);
    const attributes = { alpha: { float: op.scale }, transA: left.turned ? 1 : 0, transB: right.turned ? 1 : 0 };
    const product = this.#rounded(
      this.add('FusedMatMul', [left.name, right.name], attributes, 'com.microsoft'),
      t.dtype,
    );
    const natural = [...sizes(batch), ...(left.open ? sizes(own(a)) : [count(own(a))]), count(own(b))];
    const wanted = sizes(t.shape);
    return natural.length === wanted.length && natural.every((size, i) => size === wanted[i])
      ? product
      : this.reshaped(product, t.shape);
  }

  /**
   * An operand as [batch…, rows, inner] (or inner first: `turned` for the left side; the reverse for the right side).
   * `open`: rows were left as several dimensions, which a product without batch allows on the left.
   */
  #matrix(
    x: Tensor,
    batch: Shape,
    own: Shape,
    inner: Shape,
    right: boolean,
  ): { readonly name: string; readonly turned: boolean; readonly open: boolean } {
    const laid = (...parts: readonly Shape[]): boolean => parts.flat().every((dim, i) => dim.name === x.shape[i]?.name);
    const known = laid(batch, own, inner) || laid(batch, inner, own);
    const last = x.shape.at(-1)?.name;
    // A transposition that leaves the last dimension in place copies whole rows.
    const innerFirst = known ? !laid(batch, own, inner) : own.some(({ name }) => name === last);
    let name = this.writer.name(x);
    if (!known)
      name = this.add('Transpose', [name], {
        perm: [...batch, ...(innerFirst ? [...inner, ...own] : [...own, ...inner])].map((dim) =>
          position(x.shape, dim.name),
        ),
      });
    const turned = right ? !innerFirst : innerFirst;
    const open = !right && !turned && batch.length === 0 && inner.length === 1 && own.length > 0;
    if (open || (own.length === 1 && inner.length === 1)) return { name, turned, open };
    const extent = (part: Shape): number => (part.some(({ ragged }) => ragged) ? -1 : count(part));
    const matrix = innerFirst ? [extent(inner), extent(own)] : [extent(own), extent(inner)];
    return { name: this.add('Reshape', [name, this.writer.ints([...sizes(batch), ...matrix])]), turned, open: false };
  }

  /** RotaryEmbedding takes [batch, token, heads · width] with tables [batch, token, half]. */
  #rotate(x: Tensor, table: Tensor, value: string, cos: string, sin: string, t: Tensor): string {
    const lead = table.shape.slice(0, -1);
    const rest = x.shape.filter(({ name }) => position(lead, name) < 0);
    const laid = [...lead, ...rest].every((dim, i) => dim.name === x.shape[i]?.name);
    const ordered = laid
      ? value
      : this.add('Transpose', [value], { perm: [...lead, ...rest].map((dim) => position(x.shape, dim.name)) });
    const heads = count(rest.slice(0, -1));
    const tokens = count(lead);
    const flat = this.add('Reshape', [ordered, this.writer.ints([1, tokens, count(rest)])]);
    const tables = [cos, sin].map((name) =>
      this.add('Reshape', [name, this.writer.ints([1, tokens, (table.shape.at(-1) as Dim).size])]),
    );
    const turned = this.add('RotaryEmbedding', [flat, ...tables], { num_heads: heads });
    const shaped = this.reshaped(turned, [...lead, ...rest]);
    return laid
      ? shaped
      : this.add('Transpose', [shaped], { perm: t.shape.map(({ name }) => position([...lead, ...rest], name)) });
  }
}
