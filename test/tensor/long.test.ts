import { afterAll, describe, expect, it } from 'vitest';

import { draws } from '../../src/random.js';
import { gradient } from '../../src/tensor/gradient.js';
import { dependencies, reachable, sizeOf, type Tensor } from '../../src/tensor/graph.js';
import { graphOf } from '../../src/tensor/engine.js';
import {
  constant,
  input,
  logAnywhere,
  logSoftmaxByBlocks,
  mul,
  order,
  quantile,
  slice,
  sum as summed,
  sumByBlocks,
} from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';
import { interpret } from './interpret.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

let programs = 0;

/** What the runtime makes of `x`, whose one dimension is called n. */
async function run(
  make: (x: Tensor) => Readonly<Record<string, Tensor>>,
  x: Float32Array,
): Promise<Readonly<Record<string, number>>> {
  const program = graphOf(`long ${programs++}`, make(input('x', 'float32', { n: x.length })));
  await engine.open(program);
  const answer = await engine.run(program, { x });
  await engine.close(program);
  return Object.fromEntries(Object.entries(answer.outputs).map(([name, values]) => [name, Number(values[0])]));
}

const total = (x: Float32Array): number => x.reduce((sum, value) => sum + value, 0);

// Sizes of one block, of one element more, without divisors, of two levels and of three; two released vocabularies.
const sizes = [1, 2, 128, 129, 1187, 4096, 131_071, 151_936, 152_064, 262_144];
const shapes: readonly (readonly [string, (i: number, size: number) => number])[] = [
  ['all alike', () => 1 / 3],
  ['broad', (i) => Math.exp(draws('long', i).normal(3))],
  ['one that is nearly all, and zeros', (i, size) => (i === Math.floor(size / 3) ? 1 : i % 5 === 0 ? 0 : 0.02 / size)],
];
const cases = sizes.flatMap((size) =>
  shapes.map(([name, value]) => [size, name, Float32Array.from({ length: size }, (_, i) => value(i, size))] as const),
);

describe('sumByBlocks', () => {
  it.each(cases)('of %i, %s: within 5e-7 of a float64 sum', async (_size, _, x) => {
    const { sum } = await run((all) => ({ sum: sumByBlocks(all, 'n') }), x);
    expect(Math.abs(sum / total(x) - 1)).toBeLessThan(5e-7);
  });
});

describe('to the bit, wherever a row lies', () => {
  const ROWS = 37;
  it.each([7, 16, 53, 128, 159, 1187])('are sums of %i and their logarithms the same', async (size) => {
    const rows = input('x', 'float32', { row: ROWS, n: size });
    const sums = sumByBlocks(rows, 'n');
    const program = graphOf(`places ${size}`, { sums, logs: logAnywhere(sums) });
    await engine.open(program);
    const x = Float32Array.from({ length: ROWS * size }, (_, i) => draws('places', i).uniform(0.1, 1));
    const from = async (first: number): Promise<readonly (readonly number[])[]> => {
      const turned = new Float32Array([...x.subarray(first * size), ...x.subarray(0, first * size)]);
      const { outputs } = await engine.run(program, { x: turned });
      return Array.from({ length: ROWS }, (_, row) =>
        ['sums', 'logs'].map((name) => Number(outputs[name]?.[(row + ROWS - first) % ROWS])),
      );
    };
    const before = await from(0);
    for (const first of [1, 2, 5, 12, 36]) expect(await from(first)).toEqual(before);
    await engine.close(program);
  });
});

describe('logSoftmaxByBlocks', () => {
  it.each([4096, 4097, 151_936])('of %i logits and its gradient agree with float64 to 3e-6', async (size) => {
    const x = Float32Array.from({ length: size }, (_, i) => 3 * draws('logits', i).normal(1));
    const largest = x.reduce((a, b) => Math.max(a, b));
    const whole = Math.log(x.reduce((sum, value) => sum + Math.exp(value - largest), 0));
    for (const at of [0, size - 1]) {
      const { y, own, other } = await run((all) => {
        const picked = slice(logSoftmaxByBlocks(all, 'n'), 'n', at, 1);
        const slope = gradient(summed(mul(picked, 2), 'n'), [all])[0];
        return { y: picked, own: slice(slope, 'n', at, 1), other: slice(slope, 'n', 1, 1) };
      }, x);
      const share = (i: number): number => Math.exp(x[i] - largest - whole);
      expect(Math.abs(y - (x[at] - largest - whole))).toBeLessThan(3e-6);
      expect(Math.abs(own - 2 * (1 - share(at)))).toBeLessThan(3e-6);
      expect(Math.abs(other + 2 * share(1))).toBeLessThan(3e-6);
    }
  });
});

describe('quantile', () => {
  const shares = [0, 1e-7, 0.1, 1 / 3, 0.5, 2 / 3, 0.9, 0.999, 0.9999999, 1 - 2 ** -24, 1, 2];

  it.each(cases)('of %i, %s: within 5e-7 of the whole, and never of nothing', async (_size, _, x) => {
    const found = await run((all) => Object.fromEntries(shares.map((share) => [share, quantile(all, 'n', share)])), x);
    const whole = total(x);
    for (const share of shares) {
      const index = found[share];
      const before = total(x.subarray(0, index)) / whole;
      expect(x[index]).toBeGreaterThan(0);
      expect(before - share).toBeLessThan(5e-7);
      if (share < 1) expect(share - before - x[index] / whole).toBeLessThan(5e-7);
      else expect(total(x.subarray(index + 1)) / whole).toBeLessThan(5e-7);
    }
  });

  it('finds exactly the element that half a count more lies in', async () => {
    const size = 151_936;
    const flags = Float32Array.from({ length: size }, (_, i) => Number(draws('flags', i).uniform() < 0.7));
    const ones = [...flags.keys()].filter((i) => flags[i] === 1);
    const counts = [0, 1, 500, 50_000, ones.length - 2, ones.length - 1];
    const found = await run(
      (all) => Object.fromEntries(counts.map((count) => [count, quantile(all, 'n', (count + 0.5) / ones.length)])),
      flags,
    );
    expect(counts.map((count) => found[count])).toEqual(counts.map((count) => ones[count]));
  });

  it('goes along a dimension wherever it stands, a share for each of the others', () => {
    const x = input('x', 'float32', { a: 2, n: 600, b: 3 });
    const share = constant([0.1, 0.3, 0.5, 0.7, 0.9, 0], { b: 3, a: 2 });
    const fed = { x: Float32Array.from({ length: 3600 }, (_, i) => draws('any', i).uniform()) };
    const index = quantile(x, 'n', share);
    expect(index.shape.map(({ name }) => name)).toEqual(['a', 'b']);
    const [inPlace, last] = interpret([index, quantile(order(x, 'b', 'a', 'n'), 'n', share)], fed);
    const of = (a: number, b: number): number => {
      const column = Array.from({ length: 600 }, (_, n) => fed.x[(a * 600 + n) * 3 + b]);
      const bound = [0.1, 0.3, 0.5, 0.7, 0.9, 0][b * 2 + a] * column.reduce((sum, value) => sum + value, 0);
      let running = 0;
      return column.findIndex((value) => (running += value) > bound);
    };
    const expected = [0, 1].flatMap((a) => [0, 1, 2].map((b) => of(a, b)));
    expect([...inPlace.data]).toEqual(expected);
    expect([0, 1].flatMap((a) => [0, 1, 2].map((b) => last.data[b * 2 + a]))).toEqual(expected);
  });

  it('has no running sum of more than 128 elements, whatever the size', () => {
    for (const size of sizes) {
      const running = reachable([quantile(input('x', 'float32', { n: size }), 'n', 0.5)], dependencies).flatMap(
        ({ op, inputs }) => (op.kind === 'cumsum' ? [sizeOf(inputs[0], op.over) as number] : []),
      );
      expect(Math.max(...running)).toBeLessThanOrEqual(128);
    }
  });

  it('takes float32 and a dimension that is there', () => {
    expect(() => quantile(input('x', 'int64', { n: 3 }), 'n', 0.5)).toThrow(
      'quantile: expected float32; got [n 3] int64',
    );
    expect(() => quantile(input('x', 'float32', { n: 3 }), 'm', 0.5)).toThrow(
      'quantile: expected a dimension called m; got [n 3] float32',
    );
    expect(() => sumByBlocks(input('x', 'float32', { n: 3 }), 'm')).toThrow(
      'sumByBlocks: expected a dimension called m; got [n 3] float32',
    );
  });
});
