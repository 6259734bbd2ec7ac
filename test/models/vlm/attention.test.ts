import { afterAll, describe, expect, it } from 'vitest';

import { agree, drawn, furthest, type Draw } from '../../tensor/cases.js';
import { interpret, type Fed } from '../../tensor/interpret.js';
import { attention, BLOCKS, type Blocks, type Memory } from '../../../src/models/vlm/attention.js';
import { gradient } from '../../../src/tensor/gradient.js';
import { dependencies, reachable, sizeOf, type Tensor } from '../../../src/tensor/graph.js';
import { add, concat, dot, input, inPrecision, mul, order, softmax, tanh, total } from '../../../src/tensor/ops.js';
import { openEngine } from '../../../src/tensor/engines.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

const SCALE = 0.7;

/** As the formula has it, with the gradients of its operations. */
function plain(queries: Tensor, { keys, values, mask }: Memory): Tensor {
  const scores = dot(queries, keys, 'hd', SCALE);
  return dot(softmax(mask ? add(scores, mask) : scores, 'key'), values, 'key');
}

/** Queries, keys, values and a mask whose dimensions lie in any order. */
interface Asked {
  readonly inputs: readonly [queries: Tensor, keys: Tensor, values: Tensor];
  readonly mask?: Tensor;
  /** A number for each element of the result. */
  readonly weight: Tensor;
}

function asked(draw: Draw): Asked {
  const shared = draw.some(['prompt', 'kv', 'sample']);
  const own = draw.some(['rep', 'token']);
  const sizes = Object.fromEntries([...shared, ...own, 'key', 'hd'].map((name) => [name, draw.integer(1, 3)]));
  const of = (...names: readonly string[]): Tensor => draw.tensor('any', draw.shuffled(names), sizes);
  const inputs = [of(...shared, ...own, 'hd'), of(...shared, 'key', 'hd'), of(...shared, 'key', 'hd')] as const;
  const masked = draw.one([true, false]);
  return {
    inputs,
    ...(masked ? { mask: of(...draw.some([...shared, ...own], 0), 'key') } : {}),
    weight: of(...shared, ...own, 'hd'),
  };
}

/** The result, and its gradients by queries, keys and values, which are computed from what is drawn. */
function outcomes(
  { inputs, mask, weight }: Asked,
  attend: (queries: Tensor, memory: Memory) => Tensor,
): readonly Tensor[] {
  const [queries, keys, values] = inputs.map((t) => tanh(t)) as [Tensor, Tensor, Tensor];
  const out = attend(queries, { keys, values, mask });
  return [order(out, ...weight.shape.map(({ name }) => name)), ...gradient(total(mul(out, weight)), inputs)];
}

/** All values of a graph, with those inside its loops and blocks. */
function everything(outputs: readonly Tensor[]): Tensor[] {
  const nodes = reachable(outputs, dependencies);
  return nodes.flatMap(({ op, outputs: own }) => [
    ...own,
    ...(op.kind === 'loop' || op.kind === 'block' ? everything(op.body.results) : []),
  ]);
}

describe('attention', () => {
  const ways: readonly (readonly [string, Blocks])[] = [
    ...[1, 2, 3, 5, 8, 13, 21].map((block) => [`in blocks of ${block} scores`, { together: 0, block }] as const),
    ['with all scores together', BLOCKS.cpu],
  ];

  it.each(ways)('%s is what the formula gives, and so are its gradients', async (_, blocks) => {
    const { cases, feeds } = drawn('attention', 25, asked);
    const got = await agree(
      engine,
      cases.flatMap((one) => outcomes(one, (queries, memory) => attention(queries, [memory], SCALE, blocks))),
      feeds,
      1e-4,
    );
    const expected = interpret(
      cases.flatMap((one) => outcomes(one, plain)),
      feeds,
    );
    for (const [i, { data }] of expected.entries()) expect(furthest(got[i]?.data, data, 1e-12)).toBeUndefined();
  });

  it('over two memories is what it is over one with the keys of both', async () => {
    const { cases, feeds } = drawn('memories', 10, (draw) => {
      const sizes = { prompt: 2, token: 3, hd: 2 };
      const part = (key: number): Tensor => draw.tensor('any', ['prompt', 'key', 'hd'], { ...sizes, key });
      const [queries, first, second] = [
        draw.tensor('any', ['prompt', 'token', 'hd'], sizes),
        [part(3), part(3)],
        [part(2), part(2)],
      ] as const;
      const memories = [first, second].map(([keys, values]) => ({ keys: keys, values: values }));
      const joined = {
        keys: concat(
          memories.map(({ keys }) => keys),
          'key',
        ),
        values: concat(
          memories.map(({ values }) => values),
          'key',
        ),
      };
      const apart = attention(queries, memories, SCALE);
      return [apart, order(attention(queries, [joined], SCALE), ...apart.shape.map(({ name }) => name))] as const;
    });
    const values = await agree(engine, cases.flat(), feeds);
    for (let i = 0; i < values.length; i += 2)
      expect(furthest(values[i]?.data, values[i + 1]?.data, 1e-12)).toBeUndefined();
  });

  it('in bfloat16 is as near to the formula as that rounds, blocks or not, gradients too', () => {
    const { cases, feeds } = drawn('attention in halves', 25, asked);
    const expected = interpret(
      cases.flatMap((one) => outcomes(one, plain)),
      feeds,
    );
    for (const blocks of [BLOCKS.cpu, { together: 0, block: 4 }]) {
      const got = inPrecision('bfloat16', () =>
        interpret(
          cases.flatMap((one) => outcomes(one, (queries, memory) => attention(queries, [memory], SCALE, blocks))),
          feeds as Fed,
        ),
      );
      for (const [i, { data }] of expected.entries()) expect(furthest(got[i]?.data, data, 0.03)).toBeUndefined();
    }
  });

  it('holds no more scores than a block has, forward or backward', () => {
    const sizes = { image: 3, head: 4, hd: 5 };
    const inputs = [
      input('q', 'float32', { ...sizes, slot: 50 }),
      input('k', 'float32', { ...sizes, key: 70 }),
      input('v', 'float32', { ...sizes, key: 70 }),
    ] as const;
    const out = attention(inputs[0], [{ keys: inputs[1], values: inputs[2] }], SCALE, { together: 1000, block: 1000 });
    const all = everything([out, ...gradient(total(out), inputs)]);
    const scores = all.filter((t) => sizeOf(t, 'slot') !== undefined && sizeOf(t, 'key') !== undefined);
    expect(scores.length).toBeGreaterThan(4);
    expect(
      Math.max(...scores.map(({ shape }) => shape.reduce((product, { size }) => product * size, 1))),
    ).toBeLessThanOrEqual(1000);
  });
});
