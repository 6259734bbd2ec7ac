/** Random graphs, many to a session: the runtime's values beside the interpreter's. */
import fc from 'fast-check';

import { interpret, type Value } from './interpret.js';
import { hash, uniform } from '../../src/random.js';
import {
  count,
  describe,
  reachable,
  dependencies,
  type Data,
  type DType,
  type Tensor,
} from '../../src/tensor/graph.js';
import { graphOf, type Engine } from '../../src/tensor/engine.js';
import { input } from '../../src/tensor/ops.js';

/** What elements are drawn from: `coarse` has many ties. */
export type Kind = 'any' | 'positive' | 'coarse' | 'int' | 'bool' | { readonly below: number };

/** One case: sizes by name, and inputs that agree with them. */
export interface Draw {
  /** Every name of this case with its size. */
  readonly sizes: Readonly<Record<string, number>>;
  integer(min: number, max: number): number;
  /** Some of the names, in any order. */
  some(from?: readonly string[], atLeast?: number, atMost?: number): string[];
  /** All of the given names, in any order. */
  shuffled(names: readonly string[]): string[];
  one<T>(list: readonly T[]): T;
  /** A fed input with the dimensions named, or with any. */
  tensor(kind: Kind, names?: readonly string[], sizes?: Readonly<Record<string, number>>): Tensor;
}

const NAMES = ['a', 'b', 'c', 'd'];

let graphs = 0;
let inputs = 0;

function element(kind: Kind, u: number): number {
  if (typeof kind === 'object') return Math.floor(u * kind.below);
  switch (kind) {
    case 'any':
      return u * 4 - 2;
    case 'positive':
      return u * 3 + 0.25;
    case 'coarse':
      return Math.floor(u * 4) - 2;
    case 'int':
      return Math.floor(u * 9) - 4;
    case 'bool':
      return Number(u < 0.5);
  }
}

function data(dtype: DType, kind: Kind, length: number, key: string): Data {
  const list = Array.from({ length }, (_, i) => element(kind, uniform(key, i)));
  return dtype === 'int64'
    ? BigInt64Array.from(list, BigInt)
    : dtype === 'bool'
      ? Uint8Array.from(list)
      : Float32Array.from(list);
}

/** Cases drawn from a seed that the graph's purpose gives, and what they are fed. */
export function drawn<T>(
  purpose: string,
  runs: number,
  make: (draw: Draw) => T,
): { readonly cases: readonly T[]; readonly feeds: Record<string, Data> } {
  const feeds: Record<string, Data> = {};
  const cases = fc.sample(fc.gen(), { seed: hash(purpose), numRuns: runs }).map((g) => {
    const sizes = Object.fromEntries(NAMES.map((name) => [name, g(fc.integer, { min: 1, max: 4 })]));
    const draw: Draw = {
      sizes,
      integer: (min, max) => g(fc.integer, { min, max }),
      some: (from = NAMES, atLeast = 0, atMost = from.length) =>
        g(fc.shuffledSubarray, [...from], { minLength: atLeast, maxLength: atMost }),
      shuffled: (names) => g(fc.shuffledSubarray, [...names], { minLength: names.length, maxLength: names.length }),
      one: <E>(list: readonly E[]) => list[g(fc.nat, list.length - 1)],
      tensor(kind, names = draw.some(), more = {}) {
        const dtype: DType =
          kind === 'bool' ? 'bool' : kind === 'int' || typeof kind === 'object' ? 'int64' : 'float32';
        const made = input(
          `in${inputs++}`,
          dtype,
          Object.fromEntries(names.map((name) => [name, more[name] ?? sizes[name]])),
        );
        feeds[`in${inputs - 1}`] = data(dtype, kind, count(made.shape), `${purpose} ${Object.keys(feeds).length}`);
        return made;
      },
    };
    return make(draw);
  });
  return { cases, feeds };
}

/** Operations and shapes that a value was computed from. */
function story(t: Tensor): string {
  return reachable([t], dependencies)
    .map((n) => `${n.op.kind}${describe(n.outputs[0])}(${n.inputs.map((x) => x.node.id).join(', ')}) = ${n.id}`)
    .join('; ');
}

export function furthest(
  got: ArrayLike<number | bigint>,
  expected: ArrayLike<number>,
  tolerance: number,
): number | undefined {
  if (got.length !== expected.length) return -1;
  for (let i = 0; i < expected.length; i++) {
    const [g, e] = [Number(got[i]), expected[i]];
    if (!(Object.is(g, e) || g === e || Math.abs(g - e) <= tolerance * Math.max(1, Math.abs(e)))) return i;
  }
  return undefined;
}

/**
 * Runs values in one graph and compares each with the interpreter's.
 *
 * @throws with the operations and shapes of the first that differs.
 */
export async function agree(
  engine: Engine,
  outputs: readonly Tensor[],
  feeds: Readonly<Record<string, Data>>,
  tolerance = 1e-5,
): Promise<Value[]> {
  const program = graphOf(`graph ${graphs++}`, Object.fromEntries(outputs.map((t, i) => [`out${i}`, t])));
  await engine.open(program);
  const answer = await engine.run(program, feeds);
  await engine.close(program);
  const values = interpret(outputs, feeds);
  for (const [i, t] of outputs.entries()) {
    const got = answer.outputs[`out${i}`];
    const expected = values[i];
    const wanted = expected.shape.map(({ size }) => size);
    const shape = answer.sizes[`out${i}`] ?? [];
    if (wanted.join() !== shape.join())
      throw new Error(`expected sizes ${wanted.join()}; got ${shape.join()} from ${story(t)}`);
    const apart = furthest(got, expected.data, tolerance);
    if (apart !== undefined)
      throw new Error(`element ${apart}: expected ${expected.data[apart]}; got ${String(got[apart])} from ${story(t)}`);
  }
  return values;
}
