/** Backward passes of blocks and loops, and copies of their bodies. */
import {
  bodyNodes,
  captured,
  count,
  dependencies,
  isFloat,
  isHalf,
  nodeWith,
  scoped,
  ShapeError,
  sizeOf,
  type Body,
  type Node,
  type Op,
  type Tensor,
} from './graph.js';
import { key, type Contribution, type PullBack } from './adjoints.js';
import { abs, add, cast, expand, gather, less, loop, or, rename, reshape, slice } from './ops.js';

/**
 * Computes a block's inner values again and pulls back through them.
 *
 * The recomputation takes its inputs through a sum with a zero made from an incoming adjoint: otherwise the runtime
 * would merge the two equal computations and keep every value that was to be freed.
 */
export function blockBackward(
  body: Body,
  inputs: readonly Tensor[],
  incoming: readonly (Tensor | undefined)[],
  needed: ReadonlySet<number>,
  pullBack: PullBack,
): readonly Contribution[] {
  const no = never(incoming.find((dy) => dy !== undefined) as Tensor);
  const again = inputs.map((x) => behind(x, no));
  const outer = captured(body);
  const from = [...inputs, ...outer];
  const given = [...again, ...outer];
  const kept = from.flatMap((to, i) => (isFloat(to.dtype) && needed.has(to.node.id) ? [{ to, at: given[i] }] : []));
  const adjoints = pullBack(
    instantiate(body, again),
    incoming,
    kept.map(({ at }) => at),
    given,
  );
  return kept.map(({ to }, i): Contribution => [to, adjoints[i]]);
}

/**
 * Repeats a loop's turns, each with its own backward pass: a turn's values are freed before the next. A value of which
 * the body reads one row at each turn gets its adjoint row by row; others are summed over the turns.
 *
 * @throws {ShapeError} if the loop has state, or may end early.
 */
export function loopBackward(
  n: Node,
  { body, steps }: Extract<Op, { kind: 'loop' }>,
  incoming: readonly (Tensor | undefined)[],
  needed: ReadonlySet<number>,
  pullBack: PullBack,
): readonly Contribution[] {
  const [going, ...results] = body.results as [Tensor, ...Tensor[]];
  if (n.inputs.length > 0 || going.node.op.kind !== 'constant')
    throw new ShapeError('loop', 'an operation with a gradient', ...n.outputs);
  const floats = (t: Tensor): boolean => isFloat(t.dtype) && needed.has(t.node.id);
  const rows = rowsOf(body, steps).filter((row) => floats(row.inputs[0]));
  const outer = captured(body);
  const read = new Set(
    [...results, ...bodyNodes(body).flatMap((inner) => (rows.includes(inner) ? [] : dependencies(inner)))].map(key),
  );
  const summed = outer.filter((t) => floats(t) && read.has(key(t)));
  const no = cast(never(incoming.find((dy) => dy !== undefined) as Tensor), 'float32');

  const zeros = Object.fromEntries(summed.map((t, i) => [`sum${i}`, expand(no, t.shape)]));
  const { state, collected } = loop(steps, zeros, (turn, sums) => {
    const again = instantiate({ holes: body.holes, results: [...results, ...rows.map((row) => row.outputs[0])] }, [
      turn,
    ]);
    const [values, own] = [again.slice(0, results.length), again.slice(results.length)];
    const seeds = incoming.map((dy) => dy && gather(dy, 'step', turn));
    const adjoints = pullBack(values, seeds, [...own, ...summed], [...own, ...outer]);
    const next = summed.map((_, i) => [`sum${i}`, add(sums[`sum${i}`], adjoints[own.length + i])] as const);
    return {
      state: Object.fromEntries(next),
      collect: Object.fromEntries(own.map((_, i) => [`row${i}`, adjoints[i]])),
      going: body.results[0],
    };
  });
  return [
    ...rows.map(({ op, inputs }, i): Contribution => [
      inputs[0],
      rename(collected[`row${i}`], { step: (op as Extract<Op, { kind: 'gather' }>).over }),
    ]),
    ...summed.map((t, i): Contribution => [t, state[`sum${i}`]]),
  ];
}

/** Values of which a loop's body takes one row at each turn. */
function rowsOf(body: Body, steps: number): readonly Node[] {
  const turn = key(body.holes[0]);
  const outside = new Set(captured(body).map(key));
  return bodyNodes(body).filter(
    ({ op, inputs: [table, index] }) =>
      op.kind === 'gather' &&
      table &&
      index &&
      key(index) === turn &&
      outside.has(key(table)) &&
      sizeOf(table, op.over) === steps,
  );
}

/** A scalar false that depends on `x`, for any of its values. */
function never(x: Tensor): Tensor {
  const flat = reshape(x, [{ name: 'element', size: count(x.shape) }]);
  return reshape(less(abs(slice(flat, 'element', 0, 1)), 0), []);
}

/** The same value, made dependent on `no`, a scalar false. */
function behind(x: Tensor, no: Tensor): Tensor {
  if (x.dtype === 'bool') return or(x, no);
  return isHalf(x.dtype) ? cast(behind(cast(x, 'float32'), no), x.dtype) : add(x, cast(no, x.dtype));
}

/** Traces a body's computation again on other inputs. */
function instantiate(
  body: Body,
  inputs: readonly Tensor[],
  outer: (t: Tensor) => Tensor = (t) => t,
): readonly Tensor[] {
  const bound = new Map<string, Tensor>(body.holes.map((hole, i) => [key(hole), inputs[i]]));
  const of = (t: Tensor): Tensor => bound.get(key(t)) ?? outer(t);
  for (const n of bodyNodes(body)) {
    const copies = scoped(n.scope, () => nodeWith(rebound(n.op, of), n.inputs.map(of), n.outputs));
    for (const [i, output] of n.outputs.entries()) bound.set(key(output), copies[i]);
  }
  return body.results.map(of);
}

/** A block or loop whose body reads `of(t)` for each captured tensor t. */
function rebound(op: Op, of: (t: Tensor) => Tensor): Op {
  if (op.kind !== 'block' && op.kind !== 'loop') return op;
  const holes = op.body.holes.map((like) => nodeWith({ kind: 'state' }, [], [like])[0]);
  return { ...op, body: { holes, results: instantiate(op.body, holes, of) } };
}
