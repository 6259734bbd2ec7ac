/** The adjoints that the backward pass has collected so far. */
import { sizeOf, type Tensor } from './graph.js';
import { add, concat, constant, expand, order } from './ops.js';

/** Names a tensor among all. */
export const key = (t: Tensor): string => `${t.node.id}:${t.index}`;

/** The contribution of an operation's output adjoint to one of its inputs. */
export type Contribution = readonly [to: Tensor, adjoint: Tensor];

/**
 * Vector-Jacobian products: gradients of Σ outputs · seeds.
 *
 * @param bounds values that count as given: the pass stops there.
 */
export type PullBack = (
  outputs: readonly Tensor[],
  seeds: readonly (Tensor | undefined)[],
  wrt: readonly Tensor[],
  bounds?: readonly Tensor[],
) => Tensor[];

/** Sums of the adjoints that reach each tensor. */
export class Adjoints {
  readonly #parts = new Map<string, Tensor[]>();

  add(to: Tensor, adjoint: Tensor): void {
    const held = this.#parts.get(key(to)) ?? [];
    held.push(order(adjoint, ...to.shape.map(({ name }) => name)));
    this.#parts.set(key(to), held);
  }

  get(of: Tensor): Tensor | undefined {
    const parts = this.#parts.get(key(of));
    if (!parts) return undefined;
    const sum = pieced(parts).reduce((a, b) => add(a, b));
    this.#parts.set(key(of), [sum]);
    return sum;
  }
}

/** Adjoints of a value's slices are padded with zeros; adjacent ones are joined instead of padded and added. */
function pieced(parts: readonly Tensor[]): Tensor[] {
  const runs = new Map<string, Tensor[]>();
  const others: Tensor[] = [];
  for (const part of parts) {
    const { op } = part.node;
    if (op.kind === 'pad') runs.set(op.over, [...(runs.get(op.over) ?? []), part]);
    else others.push(part);
  }
  return [...others, ...[...runs].flatMap(([over, pads]) => joined(over, pads) ?? pads)];
}

function joined(over: string, pads: readonly Tensor[]): Tensor[] | undefined {
  const pieces: Tensor[] = [];
  let end = 0;
  const whole = sizeOf(pads[0], over) as number;
  const zeros = (like: Tensor, size: number): Tensor =>
    expand(
      constant([0], {}),
      like.shape.map((dim) => (dim.name === over ? { name: over, size } : dim)),
    );
  const start = ({ node: { op } }: Tensor): number => (op.kind === 'pad' ? op.before : 0);
  for (const part of pads.toSorted((a, b) => start(a) - start(b))) {
    const piece = part.node.inputs[0];
    if (start(part) < end) return undefined;
    if (start(part) > end) pieces.push(zeros(piece, start(part) - end));
    pieces.push(piece);
    end = start(part) + (sizeOf(piece, over) as number);
  }
  if (pads.length < 2) return undefined;
  if (end < whole) pieces.push(zeros(pieces[0], whole - end));
  return [concat(pieces, over)];
}
