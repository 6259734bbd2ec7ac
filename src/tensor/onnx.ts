/** Graph → ONNX: one opset, static shapes, names that lead back to the model's code. */
import { basename, dirname } from 'node:path';

import { bodyNodes, dependencies, reachable, type Body, type Data, type DType, type Node, type Op, type Place, type Tensor } from './graph.js';
import { operation, type Writer } from './onnx-operation.js';
import { ELEMENT, encodeAttributes, encodeModel, type Attributes, type GraphProto, type NodeProto, type TensorProto, type ValueInfoProto } from './onnx-schema.js';

const OPSET = 23;
const IR_VERSION = 10;

/** A graph ready to be opened: its bytes, and what must be fed and comes back. */
export interface Program {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Where the files lie that hold values of the graph. */
  readonly folder?: string;
  readonly inputs: readonly { readonly name: string; readonly dtype: DType; readonly sizes: readonly number[] }[];
  readonly outputs: readonly { readonly name: string; readonly dtype: DType; readonly sizes: readonly number[] }[];
}

/** A graph that others wrote: the runtime opens its file and those beside it that hold its values. One size of an input may be -1: as many as are fed. */
export interface ProgramFile extends Omit<Program, 'bytes' | 'folder'> {
  readonly file: string;
}

/**
 * Emits everything that `outputs` need.
 *
 * @param name names the graph in messages.
 * @throws if two inputs or outputs share a name, or stored values lie in several folders.
 */
export function emit(name: string, outputs: Readonly<Record<string, Tensor>>): Program {
  const all = reachable(Object.values(outputs), dependencies);
  const inputs = all.filter((n) => n.op.kind === 'input').map((n) => n.outputs[0] as Tensor);
  const writer = new GraphWriter(undefined, '#');
  const names = [...inputs.map((t) => (t.node.op as Extract<Op, { kind: 'input' }>).name), ...Object.keys(outputs)];
  const twice = names.find((each, i) => names.indexOf(each) < i);
  if (twice !== undefined) throw new Error(`${name}: expected inputs and outputs to have a name each; got ${twice} twice`);
  for (const t of inputs) writer.bind(t, (t.node.op as Extract<Op, { kind: 'input' }>).name);
  writer.writeAll(all.filter((n) => n.op.kind !== 'input'));
  const results = Object.entries(outputs).map(([label, t]) => ({ name: label, source: writer.name(t), t }));
  // The runtime begins with what stands last, each time with all that it needs: so what is known first comes last.
  for (const { name: label, source } of results.toSorted((a, b) => b.t.node.id - a.t.node.id)) writer.node('Identity', [source], {}, { label, output: label });
  const described = (label: string, t: Tensor) => ({ name: label, dtype: t.dtype, sizes: t.shape.map(({ size }) => size) });
  const graph = writer.finish(name, inputs.map((t) => valueInfo(writer.name(t), t, true)), results.map(({ name: label, t }) => valueInfo(label, t, false)));
  const bytes = encodeModel({ irVersion: IR_VERSION, producerName: 'segr1', graph, opsetImport: [{ domain: '', version: OPSET }, { domain: 'com.microsoft', version: 1 }] });
  const folders = new Set(all.flatMap(({ op }) => (op.kind === 'stored' ? [dirname(op.place.file)] : [])));
  if (folders.size > 1) throw new Error(`${name}: expected stored values in one folder; got ${[...folders].join(', ')}`);
  const [folder] = folders;
  return { name, bytes, ...(folder === undefined ? {} : { folder }), inputs: inputs.map((t) => described(writer.name(t), t)), outputs: results.map(({ name: label, t }) => described(label, t)) };
}

/**
 * The graph's bytes with some of its inputs in files, which the runtime maps: nothing of them is copied.
 *
 * They stay inputs by name, and so nothing is computed ahead from them that would be a copy again.
 *
 * @throws {Error} if the files lie in more than one folder.
 */
export function placed({ bytes, folder: own, inputs }: Program, places: ReadonlyMap<string, Place>): { readonly bytes: Uint8Array; readonly folder?: string } {
  const initializer: TensorProto[] = [];
  const folders = new Set(own === undefined ? [] : [own]);
  for (const { name: input, sizes } of inputs) {
    const place = places.get(input);
    if (!place) continue;
    folders.add(dirname(place.file));
    initializer.push(external(input, place, sizes));
  }
  const [folder, other] = folders;
  if (folder === undefined) return { bytes };
  if (other !== undefined) throw new Error(`expected weights in files of one folder; got ${folder} and ${other}`);
  return { bytes: Buffer.concat([bytes, encodeModel({ graph: { initializer } })]), folder };
}

/** Float32 values that stay in their file. */
function external(name: string, { file, offset }: Place, dims: readonly number[]): TensorProto {
  const length = 4 * dims.reduce((product, size) => product * size, 1);
  const externalData = Object.entries({ location: basename(file), offset, length }).map(([key, value]) => ({ key, value: String(value) }));
  return { name, dims, dataType: ELEMENT.float32, externalData, dataLocation: 1 };
}

function valueInfo(name: string, t: Tensor, sized: boolean): ValueInfoProto {
  const elemType = ELEMENT[t.dtype];
  return { name, type: { tensorType: sized ? { elemType, shape: { dim: t.shape.map(({ size, ragged }) => (ragged ? {} : { dimValue: size })) } } : { elemType } } };
}

/** Where in the model a node was traced, and what it does. */
const label = (n: Node): string => (n.scope === '' ? n.op.kind : `${n.scope}/${n.op.kind}`);

/** Writes one graph or loop body; names of outer graphs are seen from inner ones. */
class GraphWriter implements Writer {
  readonly #nodes: NodeProto[] = [];
  readonly #initializers: TensorProto[] = [];
  readonly #names = new Map<string, string>();
  readonly #constants = new Map<string, string>();
  /** Names that nodes of this graph gave. */
  readonly #made = new Set<string>();
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

  /** Adds an ONNX node and gives the name of its first output. */
  node(opType: string, input: readonly string[], attributes: Attributes, more: { readonly label: string; readonly output?: string; readonly domain?: string; readonly spare?: number }): string {
    const output = more.output ?? `${this.prefix}${this.#fresh}`;
    const name = `${more.label}${this.prefix}${this.#fresh++}`;
    const spare = Array.from({ length: more.spare ?? 0 }, (_, i) => `${output}_${i + 1}`);
    this.#nodes.push({ name, opType, domain: more.domain ?? '', input, output: [output, ...spare], attribute: encodeAttributes(attributes) });
    this.#made.add(output);
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
    const name = `#c${root.#fresh++}`;
    root.#initializers.push({ name, dims, dataType, rawData: bytes });
    if (small !== undefined) root.#constants.set(small, name);
    return name;
  }

  stored(place: Place, dims: readonly number[]): string {
    const root = this.#root();
    const name = `#c${root.#fresh++}`;
    root.#initializers.push(external(name, place, dims));
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
    this.bind(t, operation(this, label(n), n.op, n.inputs, t));
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
    const left = new Set<string>();
    const results = op.body.results.map((result, i) => {
      const source = inner.name(result);
      // A copy a turn, only for what is not computed inside or leaves twice.
      const direct = inner.#made.has(source) && !left.has(source);
      const name = direct ? source : inner.node('Identity', [source], {}, { label: 'result', output: `${inner.prefix}out${i}` });
      left.add(name);
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
    this.#nodes.push({ name: `${label(n)}${inner.prefix}`, opType: 'Loop', domain: '', input, output: outputs, attribute: encodeAttributes({ body: { graph } }) });
  }
}
