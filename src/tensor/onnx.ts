/** Graph → ONNX: one opset, static shapes, names that lead back to the model's code. */
import { bodyNodes, count, dependencies, reachable, type Body, type Data, type Dim, type DType, type Node, type Op, type Shape, type Tensor } from './graph.js';
import { encodeModel, type AttributeProto, type GraphProto, type NodeProto, type TensorProto, type ValueInfoProto } from './onnx-schema.js';

const OPSET = 23;
const IR_VERSION = 10;
const ELEMENT: Readonly<Record<DType, number>> = { float32: 1, int64: 7, bool: 9 };

/** A graph ready to be opened: its bytes, and what must be fed and comes back. */
export interface Program {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly inputs: readonly { readonly name: string; readonly dtype: DType; readonly sizes: readonly number[] }[];
  readonly outputs: readonly { readonly name: string; readonly dtype: DType; readonly sizes: readonly number[] }[];
}

/** Emits everything that `outputs` need. @param name names the graph in messages. */
export function emit(name: string, outputs: Readonly<Record<string, Tensor>>): Program {
  const all = reachable(Object.values(outputs), dependencies);
  const inputs = all.filter((n) => n.op.kind === 'input').map((n) => n.outputs[0] as Tensor);
  const writer = new GraphWriter(undefined, 'g');
  for (const t of inputs) writer.bind(t, (t.node.op as Extract<Op, { kind: 'input' }>).name);
  writer.writeAll(all.filter((n) => n.op.kind !== 'input'));
  const results = Object.entries(outputs).map(([label, t]) => ({ name: label, source: writer.name(t), t }));
  for (const { name: label, source } of results) writer.node('Identity', [source], {}, { label, output: label });
  const described = (label: string, t: Tensor) => ({ name: label, dtype: t.dtype, sizes: t.shape.map(({ size }) => size) });
  const graph = writer.finish(name, inputs.map((t) => valueInfo(writer.name(t), t, true)), results.map(({ name: label, t }) => valueInfo(label, t, false)));
  const bytes = encodeModel({ irVersion: IR_VERSION, producerName: 'segr1', graph, opsetImport: [{ domain: '', version: OPSET }, { domain: 'com.microsoft', version: 1 }] });
  return { name, bytes, inputs: inputs.map((t) => described(writer.name(t), t)), outputs: results.map(({ name: label, t }) => described(label, t)) };
}

function valueInfo(name: string, t: Tensor, sized: boolean): ValueInfoProto {
  const elemType = ELEMENT[t.dtype];
  return { name, type: { tensorType: sized ? { elemType, shape: { dim: t.shape.map(({ size }) => ({ dimValue: size })) } } : { elemType } } };
}

type Attribute = number | string | readonly number[] | { readonly float: number } | { readonly graph: GraphProto };

const sizes = (shape: Shape): number[] => shape.map(({ size }) => size);
const position = (shape: Shape, name: string): number => shape.findIndex((dim) => dim.name === name);

/** Writes one graph or loop body; names of outer graphs are seen from inner ones. */
class GraphWriter {
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #names = new Map<string, string>();
  readonly #constants = new Map<string, string>();
  #fresh = 0;
  readonly outer: GraphWriter | undefined;
  readonly prefix: string;

  constructor(outer: GraphWriter | undefined, prefix: string) {
    this.outer = outer;
    this.prefix = prefix;
  }

  bind(t: Tensor, name: string): void {
    this.#names.set(`${t.node.id}:${t.index}`, name);
  }

  name(t: Tensor): string {
    const own = this.#names.get(`${t.node.id}:${t.index}`) ?? this.outer?.name(t);
    if (own === undefined) throw new Error(`${t.node.scope}/${t.node.op.kind}: expected a value written before its use; got none`);
    return own;
  }

  finish(name: string, input: readonly ValueInfoProto[], output: readonly ValueInfoProto[]): GraphProto {
    return { name, node: this.#nodes, initializer: this.#initializers, input, output };
  }

  writeAll(nodes: readonly Node[]): void {
    for (const n of nodes) this.#write(n);
  }

  /** Adds an ONNX node with one output and gives its name. */
  node(opType: string, input: readonly string[], attributes: Readonly<Record<string, Attribute>>, more: { readonly label: string; readonly output?: string; readonly domain?: string }): string {
    const output = more.output ?? `${this.prefix}${this.#fresh}`;
    const name = `${more.label}#${this.prefix}${this.#fresh++}`;
    this.#nodes.push({ name, opType, domain: more.domain ?? '', input, output: [output], attribute: Object.entries(attributes).map(attribute) });
    return output;
  }

  /** Adds an initializer, once for each content. */
  constant(data: Data, dims: readonly number[]): string {
    const root = this.#root();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const dataType = data instanceof Float32Array ? ELEMENT.float32 : data instanceof BigInt64Array ? ELEMENT.int64 : ELEMENT.bool;
    const small = bytes.length <= 64 ? `${dataType}|${dims.join(',')}|${bytes.join(',')}` : undefined;
    const known = small === undefined ? undefined : root.#constants.get(small);
    if (known !== undefined) return known;
    const name = `c${root.#fresh++}`;
    root.#initializers.push({ name, dims, dataType, rawData: bytes });
    if (small !== undefined) root.#constants.set(small, name);
    return name;
  }

  ints(values: readonly number[]): string {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  #root(): GraphWriter {
    return this.outer === undefined ? this : this.outer.#root();
  }

  #write(n: Node): void {
    if (n.op.kind === 'loop') return this.#loop(n, n.op);
    if (n.op.kind === 'block') return this.#inline(n, n.op.body);
    const t = n.outputs[0] as Tensor;
    this.bind(t, this.#value(n, t));
  }

  /** A block is its body: recomputation concerns the backward pass only. */
  #inline(n: Node, body: Body): void {
    for (const [i, hole] of body.holes.entries()) this.bind(hole, this.name(n.inputs[i] as Tensor));
    this.writeAll(bodyNodes(body));
    for (const [i, output] of n.outputs.entries()) this.bind(output, this.name(body.results[i] as Tensor));
  }

  #loop(n: Node, op: Extract<Op, { kind: 'loop' }>): void {
    const inner = new GraphWriter(this, `${this.prefix}${this.#fresh++}_`);
    const holes = op.body.holes.map((hole, i) => {
      const name = `${inner.prefix}in${i}`;
      inner.bind(hole, name);
      return valueInfo(name, hole, true);
    });
    inner.writeAll(bodyNodes(op.body));
    const results = op.body.results.map((result, i) => {
      const name = `${inner.prefix}out${i}`;
      inner.node('Identity', [inner.name(result)], {}, { label: 'result', output: name });
      return valueInfo(name, result, true);
    });
    const going = { name: `${inner.prefix}going`, type: { tensorType: { elemType: ELEMENT.bool, shape: { dim: [] } } } };
    const graph = inner.finish('body', [holes[0] as ValueInfoProto, going, ...holes.slice(1)], results);
    const outputs = n.outputs.map((output, i) => {
      const name = `${this.prefix}${this.#fresh++}_loop${i}`;
      this.bind(output, name);
      return name;
    });
    const input = [this.constant(BigInt64Array.of(BigInt(op.steps)), []), this.constant(Uint8Array.of(1), []), ...n.inputs.map((t) => this.name(t))];
    this.#nodes.push({ name: `${n.scope}/loop#${n.id}`, opType: 'Loop', domain: '', input, output: outputs, attribute: [attribute(['body', { graph }])] });
  }

  #value(n: Node, t: Tensor): string {
    const label = n.scope === '' ? n.op.kind : `${n.scope}/${n.op.kind}`;
    const add = (opType: string, input: readonly string[], attributes: Readonly<Record<string, Attribute>> = {}, domain = ''): string => this.node(opType, input, attributes, { label, domain });
    return new Emission(this, add).value(n.op, n.inputs, t);
  }
}

type Add = (opType: string, input: readonly string[], attributes?: Readonly<Record<string, Attribute>>, domain?: string) => string;

/** ONNX nodes of one operation. */
class Emission {
  readonly writer: GraphWriter;
  readonly add: Add;

  constructor(writer: GraphWriter, add: Add) {
    this.writer = writer;
    this.add = add;
  }

  value(op: Op, inputs: readonly Tensor[], t: Tensor): string {
    const names = inputs.map((x) => this.writer.name(x));
    const [x, y] = inputs as [Tensor, Tensor];
    const [first, second, third] = names as [string, string, string];
    switch (op.kind) {
      case 'constant':
        return this.writer.constant(op.data, sizes(t.shape));
      case 'unary':
        return this.add(UNARY[op.fn], [first]);
      case 'binary':
        return this.#whole(this.add(BINARY[op.fn], [this.aligned(x, t.shape), this.aligned(y, t.shape)]), inputs, t);
      case 'compare':
        return this.#whole(this.add(COMPARE[op.fn], [this.aligned(x, t.shape), this.aligned(y, t.shape)]), inputs, t);
      case 'where':
        return this.#whole(this.add('Where', inputs.map((part) => this.aligned(part, t.shape))), inputs, t);
      case 'cast':
        return this.add('Cast', [first], { to: ELEMENT[t.dtype] });
      case 'reduce':
        return this.add(REDUCE[op.fn], [first, this.writer.ints(op.over.map((name) => position(x.shape, name)))], { keepdims: 0 });
      case 'argmax':
        return this.add('ArgMax', [first], { axis: position(x.shape, op.over), keepdims: 0 });
      case 'cumsum':
        return this.add('CumSum', [first, this.writer.constant(BigInt64Array.of(BigInt(position(x.shape, op.over))), [])]);
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
        return this.add('Slice', [first, this.writer.ints([op.start]), this.writer.ints([op.start + (t.shape[axis] as Dim).size]), this.writer.ints([axis])]);
      }
      case 'pad': {
        const before = x.shape.map(({ name }) => (name === op.over ? op.before : 0));
        const after = x.shape.map(({ name }) => (name === op.over ? op.after : 0));
        return this.add('Pad', [first, this.writer.ints([...before, ...after])]);
      }
      case 'concat':
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
      case 'stopGradient':
        return first;
      case 'input':
      case 'state':
      case 'block':
      case 'loop':
        throw new Error(`${op.kind}: expected an operation that stands alone; got one that its graph must bind`);
    }
  }

  /** A value laid out to broadcast by position against `shape`. */
  aligned(x: Tensor, shape: Shape): string {
    const wanted = shape.filter(({ name }) => position(x.shape, name) >= 0);
    let name = this.writer.name(x);
    if (wanted.some((dim, i) => dim.name !== x.shape[i]?.name)) name = this.add('Transpose', [name], { perm: wanted.map((dim) => position(x.shape, dim.name)) });
    const lead = wanted[0] === undefined ? shape.length : position(shape, wanted[0].name);
    if (shape.slice(lead).length === wanted.length) return name;
    return this.add('Reshape', [name, this.writer.ints(shape.slice(lead).map((dim) => (position(x.shape, dim.name) >= 0 ? dim.size : 1)))]);
  }

  reshaped(name: string, shape: Shape): string {
    return this.add('Reshape', [name, this.writer.ints(sizes(shape))]);
  }

  /** Where both operands were kept small although the result is larger, the result is widened. */
  #whole(name: string, inputs: readonly Tensor[], t: Tensor): string {
    const covered = t.shape.every((dim) => dim.size === 1 || inputs.some((x) => position(x.shape, dim.name) >= 0));
    return covered ? name : this.add('Expand', [name, this.writer.ints(sizes(t.shape))]);
  }

  #dot(op: Extract<Op, { kind: 'dot' }>, a: Tensor, b: Tensor, t: Tensor): string {
    const inner = a.shape.filter(({ name }) => op.over.includes(name));
    const batch = a.shape.filter(({ name }) => !op.over.includes(name) && position(b.shape, name) >= 0);
    const own = (x: Tensor): Shape => x.shape.filter(({ name }) => !op.over.includes(name) && !batch.some((dim) => dim.name === name));
    const left = this.#matrix(a, batch, own(a), inner, false);
    const right = this.#matrix(b, batch, own(b), inner, true);
    const product = this.add('FusedMatMul', [left.name, right.name], { alpha: { float: op.scale }, transA: left.turned ? 1 : 0, transB: right.turned ? 1 : 0 }, 'com.microsoft');
    const natural = [...sizes(batch), ...(left.open ? sizes(own(a)) : [count(own(a))]), count(own(b))];
    const wanted = sizes(t.shape);
    return natural.length === wanted.length && natural.every((size, i) => size === wanted[i]) ? product : this.reshaped(product, t.shape);
  }

  /**
   * An operand as [batch…, rows, inner] (or inner first: `turned` for the left side; the reverse for the right side).
   * `open`: rows were left as several dimensions, which a product without batch allows on the left.
   */
  #matrix(x: Tensor, batch: Shape, own: Shape, inner: Shape, right: boolean): { readonly name: string; readonly turned: boolean; readonly open: boolean } {
    const laid = (...parts: readonly Shape[]): boolean => parts.flat().every((dim, i) => dim.name === x.shape[i]?.name);
    const known = laid(batch, own, inner) || laid(batch, inner, own);
    const last = x.shape.at(-1)?.name;
    // A transposition that leaves the last dimension in place copies whole rows.
    const innerFirst = known ? !laid(batch, own, inner) : own.some(({ name }) => name === last);
    let name = this.writer.name(x);
    if (!known) name = this.add('Transpose', [name], { perm: [...batch, ...(innerFirst ? [...inner, ...own] : [...own, ...inner])].map((dim) => position(x.shape, dim.name)) });
    const turned = right ? !innerFirst : innerFirst;
    const open = !right && !turned && batch.length === 0 && inner.length === 1 && own.length > 0;
    if (open || (own.length === 1 && inner.length === 1)) return { name, turned, open };
    const matrix = innerFirst ? [count(inner), count(own)] : [count(own), count(inner)];
    return { name: this.add('Reshape', [name, this.writer.ints([...sizes(batch), ...matrix])]), turned, open: false };
  }

  /** RotaryEmbedding takes [batch, token, heads · width] with tables [batch, token, half]. */
  #rotate(x: Tensor, table: Tensor, value: string, cos: string, sin: string, t: Tensor): string {
    const lead = table.shape.slice(0, -1);
    const rest = x.shape.filter(({ name }) => position(lead, name) < 0);
    const laid = [...lead, ...rest].every((dim, i) => dim.name === x.shape[i]?.name);
    const ordered = laid ? value : this.add('Transpose', [value], { perm: [...lead, ...rest].map((dim) => position(x.shape, dim.name)) });
    const heads = count(rest.slice(0, -1));
    const tokens = count(lead);
    const flat = this.add('Reshape', [ordered, this.writer.ints([1, tokens, count(rest)])]);
    const tables = [cos, sin].map((name) => this.add('Reshape', [name, this.writer.ints([1, tokens, (table.shape.at(-1) as Dim).size])]));
    const turned = this.add('RotaryEmbedding', [flat, ...tables], { num_heads: heads });
    const shaped = this.reshaped(turned, [...lead, ...rest]);
    return laid ? shaped : this.add('Transpose', [shaped], { perm: t.shape.map(({ name }) => position([...lead, ...rest], name)) });
  }
}

const UNARY = { neg: 'Neg', exp: 'Exp', log: 'Log', sqrt: 'Sqrt', reciprocal: 'Reciprocal', sigmoid: 'Sigmoid', tanh: 'Tanh', erf: 'Erf', abs: 'Abs', not: 'Not' } as const;
const BINARY = { add: 'Add', sub: 'Sub', mul: 'Mul', div: 'Div', min: 'Min', max: 'Max', and: 'And', or: 'Or' } as const;
const COMPARE = { less: 'Less', lessEqual: 'LessOrEqual', greater: 'Greater', greaterEqual: 'GreaterOrEqual', equal: 'Equal' } as const;
const REDUCE = { sum: 'ReduceSum', mean: 'ReduceMean', max: 'ReduceMax' } as const;

function attribute([name, value]: readonly [string, Attribute]): AttributeProto {
  if (typeof value === 'number') return { name, type: 2, i: value };
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) };
  if ('float' in value) return { name, type: 1, f: value.float };
  if ('graph' in value) return { name, type: 5, g: value.graph };
  return { name, type: 7, ints: value };
}
