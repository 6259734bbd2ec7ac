import { basename } from 'node:path';

import {
  bodyNodes,
  isHalf,
  type Body,
  type Data,
  type DType,
  type Node,
  type Op,
  type Place,
  type Tensor,
  WIDTH,
} from '../graph.js';
import { operation, type Dialect, type Writer } from './operation.js';
import {
  ELEMENT,
  encodeAttributes,
  type Attributes,
  type GraphProto,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './schema.js';

/** Where in the model a node was traced, and what it does. */
const label = (n: Node): string => (n.scope === '' ? n.op.kind : `${n.scope}/${n.op.kind}`);

/** Writes one graph or loop body; names of outer graphs are seen from inner ones. */
export class GraphWriter implements Writer {
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #names = new Map<string, string>();
  readonly #constants = new Map<string, string>();
  /** Names that nodes of this graph gave. */
  readonly #made = new Set<string>();
  #fresh = 0;
  readonly outer: GraphWriter | undefined;
  readonly prefix: string;
  readonly dialect: Dialect;

  constructor(outer: GraphWriter | undefined, prefix: string, dialect: Dialect) {
    this.outer = outer;
    this.prefix = prefix;
    this.dialect = dialect;
  }

  bind(t: Tensor, name: string): void {
    this.#names.set(`${t.node.id}:${t.index}`, name);
  }

  name(t: Tensor): string {
    const own = this.#names.get(`${t.node.id}:${t.index}`) ?? this.outer?.name(t);
    if (own === undefined)
      throw new Error(`${t.node.scope}/${t.node.op.kind}: expected a value written before its use; got none`);
    return own;
  }

  finish(name: string, input: readonly ValueInfoProto[], output: readonly ValueInfoProto[]): GraphProto {
    return { name, node: this.#nodes, initializer: this.#initializers, input, output };
  }

  writeAll(nodes: readonly Node[]): void {
    for (const n of nodes) this.#write(n);
  }

  /** Adds an ONNX node and gives the name of its first output. */
  node(
    opType: string,
    input: readonly string[],
    attributes: Attributes,
    more: { readonly label: string; readonly output?: string; readonly domain?: string; readonly spare?: number },
  ): string {
    const output = more.output ?? `${this.prefix}${this.#fresh}`;
    const name = `${more.label}${this.prefix}${this.#fresh++}`;
    const spare = Array.from({ length: more.spare ?? 0 }, (_, i) => `${output}_${i + 1}`);
    this.#nodes.push({
      name,
      opType,
      domain: more.domain ?? '',
      input,
      output: [output, ...spare],
      attribute: encodeAttributes(attributes),
    });
    this.#made.add(output);
    return output;
  }

  /** Adds an initializer, once for each content. */
  constant(data: Data, dims: readonly number[]): string {
    const root = this.#root();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const dataType =
      data instanceof Float32Array ? ELEMENT.float32 : data instanceof BigInt64Array ? ELEMENT.int64 : ELEMENT.bool;
    const small = bytes.length <= 64 ? `${dataType}|${dims.join(',')}|${bytes.join(',')}` : undefined;
    const known = small === undefined ? undefined : root.#constants.get(small);
    if (known !== undefined) return known;
    const name = `#c${root.#fresh++}`;
    root.#initializers.push({ name, dims, dataType, rawData: bytes });
    if (small !== undefined) root.#constants.set(small, name);
    return name;
  }

  stored(place: Place, dims: readonly number[]): string {
    const root = this.#root();
    const name = `#c${root.#fresh++}`;
    root.#initializers.push(external(name, place, dims));
    if (this.dialect === 'cuda' || !isHalf(place.dtype ?? 'float32')) return name;
    return root.node('Cast', [name], { to: ELEMENT.float32 }, { label: 'stored' });
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
    const t = n.outputs[0];
    this.bind(t, operation(this, label(n), n.op, n.inputs, t));
  }

  /** A block is emitted as its body: recomputation only matters in the backward pass. */
  #inline(n: Node, body: Body): void {
    for (const [i, hole] of body.holes.entries()) this.bind(hole, this.name(n.inputs[i]));
    this.writeAll(bodyNodes(body));
    for (const [i, output] of n.outputs.entries()) this.bind(output, this.name(body.results[i]));
  }

  #loop(n: Node, op: Extract<Op, { kind: 'loop' }>): void {
    const inner = new GraphWriter(this, `${this.prefix}${this.#fresh++}_`, this.dialect);
    const holes = op.body.holes.map((hole, i) => {
      const name = `${inner.prefix}in${i}`;
      inner.bind(hole, name);
      return valueInfo(name, hole, this.dialect, true);
    });
    inner.writeAll(bodyNodes(op.body));
    const left = new Set<string>();
    const results = op.body.results.map((result, i) => {
      const source = inner.name(result);
      // A copy at each turn, only for values that are not computed inside or leave twice.
      const direct = inner.#made.has(source) && !left.has(source);
      const name = direct
        ? source
        : inner.node('Identity', [source], {}, { label: 'result', output: `${inner.prefix}out${i}` });
      left.add(name);
      return valueInfo(name, result, this.dialect, true);
    });
    const going = {
      name: `${inner.prefix}going`,
      type: { tensorType: { elemType: ELEMENT.bool, shape: { dim: [] } } },
    };
    const graph = inner.finish('body', [holes[0], going, ...holes.slice(1)], results);
    const outputs = n.outputs.map((output, i) => {
      const name = `${this.prefix}${this.#fresh++}_loop${i}`;
      this.bind(output, name);
      return name;
    });
    const input = [
      this.constant(BigInt64Array.of(BigInt(op.steps)), []),
      this.constant(Uint8Array.of(1), []),
      ...n.inputs.map((t) => this.name(t)),
    ];
    this.#nodes.push({
      name: `${label(n)}${inner.prefix}`,
      opType: 'Loop',
      domain: '',
      input,
      output: outputs,
      attribute: encodeAttributes({ body: { graph } }),
    });
  }
}

/** Values that stay in their file. */
export function external(
  name: string,
  { file, offset, dtype = 'float32' }: Place,
  dims: readonly number[],
): TensorProto {
  const length = WIDTH[dtype] * dims.reduce((product, size) => product * size, 1);
  const externalData = Object.entries({ location: basename(file), offset, length }).map(([key, value]) => ({
    key,
    value: String(value),
  }));
  return { name, dims, dataType: ELEMENT[dtype], externalData, dataLocation: 1 };
}

/** The emitted type of a value: the CPU holds halves as float32. */
export function writtenType(dtype: DType, dialect: Dialect): DType {
  return dialect === 'cpu' && isHalf(dtype) ? 'float32' : dtype;
}

/** @param sized whether to include its shape. */
export function valueInfo(name: string, t: Tensor, dialect: Dialect, sized: boolean): ValueInfoProto {
  const elemType = ELEMENT[writtenType(t.dtype, dialect)];
  return {
    name,
    type: {
      tensorType: sized
        ? { elemType, shape: { dim: t.shape.map(({ size, ragged }) => (ragged ? {} : { dimValue: size })) } }
        : { elemType },
    },
  };
}
