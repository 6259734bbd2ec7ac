/** Graph → ONNX: one opset, static shapes, names that point to the model's code. */
import { dirname } from 'node:path';

import { dependencies, isHalf, reachable, type Op, type Place, type Tensor } from '../graph.js';
import type { Graph, TensorSpec } from '../engine.js';
import { external, GraphWriter, valueInfo, writtenType } from './graph-writer.js';
import type { Dialect } from './operation.js';
import { encodeModel, type TensorProto } from './schema.js';

export type { Dialect } from './operation.js';

const OPSET = 23;
const IR_VERSION = 10;

/** A graph in ONNX: its bytes, inputs and outputs. */
export interface Program {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Folder of the files with the graph's external data. */
  readonly folder?: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

/**
 * Emits everything that a graph's outputs need.
 *
 * @param dialect the target's kernels.
 * @param halves whether outputs may be halves, which only a native runtime returns: false by default.
 * @throws if another output is a half, two inputs or outputs share a name, or stored values are in several folders.
 */
export function emit({ name, outputs }: Graph, dialect: Dialect, halves = false): Program {
  const all = reachable(Object.values(outputs), dependencies);
  const inputs = all.filter((n) => n.op.kind === 'input').map((n) => n.outputs[0]);
  const writer = new GraphWriter(undefined, '#', dialect);
  const names = [...inputs.map((t) => (t.node.op as Extract<Op, { kind: 'input' }>).name), ...Object.keys(outputs)];
  const twice = names.find((each, i) => names.indexOf(each) < i);
  if (twice !== undefined)
    throw new Error(`${name}: expected inputs and outputs to have a name each; got ${twice} twice`);
  const half = Object.entries(outputs).find(([, { dtype }]) => isHalf(dtype));
  if (half && !halves)
    throw new Error(`${name}: expected float32, int64 or bool to come back; got ${half[1].dtype} for ${half[0]}`);
  for (const t of inputs) writer.bind(t, (t.node.op as Extract<Op, { kind: 'input' }>).name);
  writer.writeAll(all.filter((n) => n.op.kind !== 'input'));
  const results = Object.entries(outputs).map(([label, t]) => ({ name: label, source: writer.name(t), t }));
  // The runtime starts with the last node and all that it needs, so early results come last.
  for (const { name: label, source } of results.toSorted((a, b) => b.t.node.id - a.t.node.id))
    writer.node('Identity', [source], {}, { label, output: label });
  const described = (label: string, t: Tensor): TensorSpec => ({
    name: label,
    dtype: writtenType(t.dtype, dialect),
    sizes: t.shape.map(({ size }) => size),
  });
  const graph = writer.finish(
    name,
    inputs.map((t) => valueInfo(writer.name(t), t, dialect, true)),
    results.map(({ name: label, t }) => valueInfo(label, t, dialect, false)),
  );
  const bytes = encodeModel({
    irVersion: IR_VERSION,
    producerName: 'segr1',
    graph,
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: 'com.microsoft', version: 1 },
    ],
  });
  const folders = new Set(all.flatMap(({ op }) => (op.kind === 'stored' ? [dirname(op.place.file)] : [])));
  if (folders.size > 1)
    throw new Error(`${name}: expected stored values in one folder; got ${[...folders].join(', ')}`);
  const [folder] = folders;
  return {
    name,
    bytes,
    ...(folder === undefined ? {} : { folder }),
    inputs: inputs.map((t) => described(writer.name(t), t)),
    outputs: results.map(({ name: label, t }) => described(label, t)),
  };
}

/**
 * The graph's bytes with some of its inputs in files, which the runtime memory-maps without a copy. They stay inputs by
 * name, so the runtime precomputes no copies from them.
 *
 * @throws {Error} if the files are in more than one folder.
 */
export function placed(
  { bytes, folder: own, inputs }: Program,
  places: ReadonlyMap<string, Place>,
): { readonly bytes: Uint8Array; readonly folder?: string } {
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
