import { bodyNodes, dependencies, reachable, type DType, type Node } from './graph.js';
import type { Graph } from './engine.js';

/** The part of a graph's name that messages show, without the shapes and ids after it. */
const SHOWN = 60;

/**
 * Refuses a graph with an operation that an engine lacks, before anything is opened or run.
 *
 * @param engine as messages name it, such as `onnx (cuda)`.
 * @param has whether it computes a node whose elements are of `dtype`.
 * @throws {Error} naming graph, scope, operation, type and engine.
 */
export function checkOperations(
  { name, outputs }: Graph,
  engine: string,
  has: (node: Node, dtype: DType) => boolean,
): void {
  const shown = name.length > SHOWN ? `${name.slice(0, SHOWN)}…` : name;
  for (const node of allNodes(reachable(Object.values(outputs), dependencies))) {
    const dtype = elementType(node);
    if (has(node, dtype)) continue;
    const where = node.scope === '' ? '' : `  ${node.scope}`;
    throw new Error(
      `graph "${shown}"${where}: expected an operation that the engine ${engine} has; got ${operationName(node)} in ${dtype}`,
    );
  }
}

/** Nodes with those inside their bodies. */
function* allNodes(nodes: readonly Node[]): Generator<Node> {
  for (const node of nodes) {
    yield node;
    if (node.op.kind === 'block' || node.op.kind === 'loop') yield* allNodes(bodyNodes(node.op.body));
  }
}

/** The type that an operation computes with: for those that return an index or a boolean, the type of their input. */
function elementType({ op, inputs, outputs }: Node): DType {
  const looks = op.kind === 'compare' || op.kind === 'argmax';
  return ((looks ? inputs[0] : undefined) ?? outputs[0])?.dtype ?? 'float32';
}

function operationName({ op }: Node): string {
  return 'fn' in op ? `${op.kind} ${op.fn}` : op.kind;
}
