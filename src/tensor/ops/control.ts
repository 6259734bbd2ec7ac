/** Nested computations: gradient checkpointing, and loops. */
import {
  node,
  nodeWith,
  sameShape,
  ShapeError,
  sizeOf,
  type BlockPullBack,
  type DType,
  type Shape,
  type Tensor,
} from '../graph.js';
import { add } from './elementwise.js';
import { gather } from './indexing.js';
import { expand, merge, order, pad, slice, split } from './layout.js';
import { constant } from './values.js';

const hole = (like: { readonly dtype: DType; readonly shape: Shape }): Tensor =>
  node({ kind: 'state' }, [], like.dtype, like.shape);

/**
 * Gradient checkpointing: traces `f` as a block whose inner values the backward pass computes again instead of keeping.
 *
 * @see Chen et al., arXiv:1604.06174
 */
export function recompute(inputs: readonly Tensor[], f: (...inputs: Tensor[]) => readonly Tensor[]): readonly Tensor[] {
  const holes = inputs.map(hole);
  const results = f(...holes);
  return nodeWith({ kind: 'block', body: { holes, results } }, inputs, results);
}

/**
 * Traces `f` as a block with its own backward pass, instead of those of its operations.
 *
 * @param f must read no trained values except its inputs.
 * @param pullBack may read the block's outputs; they are kept for it.
 */
export function withGradient(
  inputs: readonly Tensor[],
  f: (...inputs: Tensor[]) => readonly Tensor[],
  pullBack: BlockPullBack,
): readonly Tensor[] {
  const holes = inputs.map(hole);
  const results = f(...holes);
  return nodeWith({ kind: 'block', body: { holes, results }, pullBack }, inputs, results);
}

/** Result of one turn of a loop. */
export interface Turn<
  State extends Readonly<Record<string, Tensor>>,
  Collected extends Readonly<Record<string, Tensor>>,
> {
  /** With the types and shapes of the previous state. */
  readonly state: State;
  /** Stacked over turns. */
  readonly collect: Collected;
  /** Scalar bool: whether to continue. */
  readonly going: Tensor;
}

/**
 * Runs `body` up to `steps` times; loop invariants are computed once, outside. Collected values have `step` as their
 * first dimension. A loop that ends early has fewer of them, so they may only be outputs of the graph. Differentiable
 * where it has no state and `going` is constant.
 *
 * @param body given the turn's number (int64 scalar, from 0) and the state.
 */
export function loop<
  State extends Readonly<Record<string, Tensor>>,
  Collected extends Readonly<Record<string, Tensor>>,
>(
  steps: number,
  initial: State,
  body: (turn: Tensor, state: State) => Turn<State, Collected>,
): { readonly state: State; readonly collected: Collected } {
  const names = Object.keys(initial);
  const turn = hole({ dtype: 'int64', shape: [] });
  const holes = names.map((name) => hole(initial[name]));
  const made = body(turn, Object.fromEntries(names.map((name, i) => [name, holes[i]])) as unknown as State);
  for (const [i, name] of names.entries()) {
    const next = made.state[name];
    if (next.dtype !== holes[i]?.dtype || !sameShape(next.shape, holes[i].shape))
      throw new ShapeError('loop', `${name} to keep its type and shape`, holes[i], next);
  }
  if (made.going.dtype !== 'bool' || made.going.shape.length > 0)
    throw new ShapeError('loop', 'a scalar bool to go on by', made.going);
  const collect = Object.entries(made.collect);
  for (const [, value] of collect)
    if (sizeOf(value, 'step') !== undefined)
      throw new ShapeError('loop', 'collected values without a dimension called step', value);
  const results = [made.going, ...names.map((name) => made.state[name]), ...collect.map(([, value]) => value)];
  const stacked = collect.map(([, { dtype, shape }]) => ({ dtype, shape: [{ name: 'step', size: steps }, ...shape] }));
  const outputs = nodeWith(
    { kind: 'loop', body: { holes: [turn, ...holes], results }, steps, collected: collect.length },
    names.map((name) => initial[name]),
    [...holes, ...stacked],
  );
  const from = (keys: readonly string[], offset: number): unknown =>
    Object.fromEntries(keys.map((key, i) => [key, outputs[offset + i]]));
  return {
    state: from(names, 0) as State,
    collected: from(
      collect.map(([key]) => key),
      names.length,
    ) as Collected,
  };
}

/**
 * Applies `f` chunk by chunk along a dimension and joins the results: only one chunk's inner values exist at a time,
 * also in the backward pass, which computes them again. A single chunk is `f` itself. The last chunk is padded with
 * zeros, whose results are cut off.
 *
 * @param size most elements of `over` in a chunk; `f` returns values with that dimension, each element depending only
 * on the same element of the inputs.
 * @param sums shapes of `f`'s values that lack the dimension: they are summed, without a gradient. Zeros must add
 * nothing.
 */
export function inChunks<Inputs extends readonly Tensor[], Key extends string>(
  over: string,
  size: number,
  inputs: Inputs,
  f: (...chunks: Inputs) => Readonly<Record<Key, Tensor>>,
  sums: Readonly<Record<string, Shape>> = {},
): Readonly<Record<Key, Tensor>> {
  const whole = sizeOf(inputs[0], over);
  if (whole === undefined || !(size >= 1))
    throw new ShapeError('inChunks', `a dimension called ${over}, and chunks of at least 1`, ...inputs);
  if (whole <= size) return f(...inputs);
  const steps = Math.ceil(whole / size);
  const chunk = Math.ceil(whole / steps);
  const cut = inputs.map((x) => split(pad(x, over, 0, steps * chunk - whole), over, { step: steps, [over]: chunk }));
  const zeros = Object.fromEntries(
    Object.entries(sums).map(([name, shape]) => [name, expand(constant([0], {}), shape)]),
  );
  const { state, collected } = loop(steps, zeros, (turn, before) => {
    const values = Object.entries<Tensor>(
      f(...(cut.map((x) => gather(x, 'step', turn)) as readonly Tensor[] as Inputs)),
    );
    const added = ([name, value]: readonly [string, Tensor]): readonly [string, Tensor] => [
      name,
      add(before[name], order(value, ...before[name].shape.map((dim) => dim.name))),
    ];
    return {
      state: Object.fromEntries(values.filter(([name]) => name in zeros).map(added)),
      collect: Object.fromEntries(values.filter(([name]) => !(name in zeros))),
      going: constant(Uint8Array.of(1), {}),
    };
  });
  const joined = Object.entries<Tensor>(collected).map(([name, value]) => [
    name,
    slice(merge(value, ['step', over], over), over, 0, whole),
  ]);
  return { ...state, ...Object.fromEntries(joined) } as Record<Key, Tensor>;
}
