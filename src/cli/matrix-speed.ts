import { isFloat, node, type Precision, type Tensor } from '../tensor/graph.js';
import type { Engine, EngineTraits, Graph } from '../tensor/engine.js';
import { cast, expand, input, mul, rename, slice, sum } from '../tensor/ops.js';

/** A chain of products of square matrices, and its expected result. */
export interface MatrixRun {
  readonly graph: Graph;
  readonly feeds: { readonly rows: Float32Array; readonly share: Float32Array };
  /** Floating-point operations of one run. */
  readonly operations: number;
}

/** Sizes for which products take most of a run's time, and a run a fraction of a second. */
const SIZES: Readonly<Record<EngineTraits['device'], { readonly side: number; readonly products: number }>> = {
  cpu: { side: 1024, products: 4 },
  cuda: { side: 4096, products: 32 },
};

/**
 * A matrix whose row i is all i mod 7, multiplied again and again by one of which each element is 1 / side: it does not
 * change. Both are made from two small inputs inside the graph, so little is copied and nothing can be precomputed.
 */
export function matrixRun(
  device: EngineTraits['device'],
  precision: Precision,
  { side, products } = SIZES[device],
): MatrixRun {
  const square = { i: side, k: side };
  const rows = expand(input('rows', 'float32', { i: side }), [
    { name: 'i', size: square.i },
    { name: 'k', size: square.k },
  ]);
  const share = cast(
    expand(input('share', 'float32', { k: side }), [
      { name: 'k', size: side },
      { name: 'j', size: side },
    ]),
    precision,
  );
  let x = cast(rows, precision);
  for (let i = 0; i < products; i += 1) x = rename(product(x, share), { j: 'k' });
  const back = mul(sum(cast(slice(x, 'k', 0, 16), 'float32'), 'k'), 1 / 16);
  return {
    graph: { name: `matrix products in ${precision}`, outputs: { back }, precision },
    feeds: { rows: Float32Array.from({ length: side }, (_, i) => i % 7), share: new Float32Array(side).fill(1 / side) },
    operations: 2 * side ** 3 * products,
  };
}

/**
 * Runs it for about `seconds`, after a warm-up run.
 *
 * @returns GFLOP/s.
 * @throws {Error} if the result is wrong.
 */
export async function measure(
  engine: Engine,
  { graph, feeds, operations }: MatrixRun,
  seconds: number,
): Promise<number> {
  await engine.open(graph);
  try {
    checkRows(graph.name, feeds.rows, await engine.run(graph, feeds));
    const began = performance.now();
    let [runs, spent] = [0, 0];
    do {
      await engine.run(graph, feeds);
      runs += 1;
      spent = (performance.now() - began) / 1000;
    } while (spent < seconds);
    return (operations * runs) / spent / 1e9;
  } finally {
    await engine.close(graph);
  }
}

/** Stays in the precision of its factors, unlike `dot`. */
function product(a: Tensor, b: Tensor): Tensor {
  if (!isFloat(a.dtype)) throw new TypeError(`matrix products: expected floating point; got ${a.dtype}`);
  return node(
    { kind: 'dot', over: ['k'], scale: 1 },
    [a, b],
    a.dtype,
    [a.shape[0], b.shape[1]].flatMap((dim) => (dim ? [dim] : [])),
  );
}

/** Sums of halves round; a hundredth of the largest value is far beyond that, and far from a wrong result. */
function checkRows(name: string, expected: Float32Array, { outputs }: Awaited<ReturnType<Engine['run']>>): void {
  const got = outputs['back'] as Float32Array;
  const wrong = expected.findIndex((value, i) => !(Math.abs(value - (got[i] ?? Number.NaN)) <= 0.06));
  if (wrong >= 0)
    throw new Error(
      `${name}: expected ${expected[wrong]} in row ${wrong}; got ${got[wrong]}: the device computes wrongly`,
    );
}
