import { afterAll, describe, expect, it } from 'vitest';

import { applyLinear, applyLinears, JOINED, mergeLinear, type Linear } from '../../../src/models/vlm/linear.js';
import { gradient } from '../../../src/tensor/gradient.js';
import type { Tensor } from '../../../src/tensor/graph.js';
import { graphOf } from '../../../src/tensor/engine.js';
import { emit } from '../../../src/tensor/onnx/emit.js';
import { dot, input, mul, total } from '../../../src/tensor/ops.js';
import { openEngine } from '../../../src/tensor/engines.js';
import { agree, drawn, furthest, type Draw } from '../../tensor/cases.js';
import { interpret, type Fed, type Value } from '../../tensor/interpret.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

interface Way {
  readonly bias: boolean;
  readonly adapted: boolean;
}

/** A layer from `width` to `out` with fed weights. */
function layer(draw: Draw, { bias, adapted }: Way): Linear {
  const sizes = { out: draw.integer(1, 5), rank: draw.integer(1, 3) };
  const weights = {
    weight: draw.tensor('any', ['out', 'width'], { ...draw.sizes, ...sizes, width: 4 }),
    ...(bias ? { bias: draw.tensor('any', ['out'], sizes) } : {}),
  };
  if (!adapted) return weights;
  const down = draw.tensor('any', ['rank', 'width'], { ...sizes, width: 4 });
  return {
    ...weights,
    adapter: { down, up: draw.tensor('any', ['out', 'rank'], sizes), scale: draw.integer(1, 3) / 4 },
  };
}

/** A layer that computes with the merged matrix. */
const merged = (own: Linear): Linear => ({ weight: mergeLinear(own), ...(own.bias ? { bias: own.bias } : {}) });

const float64 = (outputs: readonly Tensor[], feeds: object): Value[] => interpret(outputs, feeds as Fed);

/** Expects two lists of values to be equal but for the rounding of float64. */
function same(got: readonly Value[], expected: readonly Value[]): void {
  expect(got.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape));
  expect(got.map(({ data }, i) => furthest(data, expected[i].data, 1e-12))).toEqual(got.map(() => undefined));
}

describe('a linear layer', () => {
  it.each<Way>([
    { bias: false, adapted: true },
    { bias: true, adapted: true },
    { bias: true, adapted: false },
  ])('computes what its merged matrix does, %o', async (way) => {
    const { cases, feeds } = drawn(`linear ${JSON.stringify(way)}`, 20, (draw) => {
      const [own, x] = [
        layer(draw, way),
        draw.tensor('any', [...draw.some(['a', 'b']), 'width'], { ...draw.sizes, width: 4 }),
      ];
      return [applyLinear(own, x), applyLinear(merged(own), x)] as const;
    });
    same(
      float64(
        cases.map(([y]) => y),
        feeds,
      ),
      float64(
        cases.map(([, y]) => y),
        feeds,
      ),
    );
    expect(
      await agree(
        engine,
        cases.map(([y]) => y),
        feeds,
      ),
    ).toHaveLength(20);
  });

  it('has the gradients of both sides and of what it is given that its merged matrix has', () => {
    const { cases, feeds } = drawn('linear gradients', 20, (draw) => {
      const own = layer(draw, { bias: true, adapted: true });
      const { down, up, scale } = own.adapter as NonNullable<Linear['adapter']>;
      const names = [...draw.some(['a', 'b']), 'width'];
      const [x, weight] = [draw.tensor('any', names, { ...draw.sizes, width: 4 }), mergeLinear(own)];
      const probe = draw.tensor('any', [...names.filter((name) => name !== 'width'), 'out'], {
        ...draw.sizes,
        out: own.weight.shape[0]?.size,
      });
      const [whole, ofX] = gradient(total(mul(applyLinear({ ...merged(own), weight }, x), probe)), [weight, x]) as [
        Tensor,
        Tensor,
      ];
      return {
        got: gradient(total(mul(applyLinear(own, x), probe)), [up, down, x]),
        expected: [dot(whole, down, 'width', scale), dot(up, whole, 'out', scale), ofX],
      };
    });
    same(
      float64(
        cases.flatMap(({ got }) => got),
        feeds,
      ),
      float64(
        cases.flatMap(({ expected }) => expected),
        feeds,
      ),
    );
  });

  it('reads its matrix as it lies, forward and backward', () => {
    const matrix = input('matrix', 'float32', { out: 5, width: 4 });
    const adapter = {
      down: input('down', 'float32', { rank: 2, width: 4 }),
      up: input('up', 'float32', { out: 5, rank: 2 }),
      scale: 2,
    };
    const x = input('x', 'float32', { token: 3, width: 4 });
    const y = applyLinear({ weight: matrix, adapter }, x);
    const slopes = gradient(total(mul(y, y)), [x, adapter.down, adapter.up]);
    expect(
      Buffer.from(
        emit(graphOf('linear', { y, ...Object.fromEntries(slopes.map((slope, i) => [`slope${i}`, slope])) }), 'cpu')
          .bytes,
      ).includes('Transpose'),
    ).toBe(false);
  });
});

describe('several linear layers of one value', () => {
  const ways = [
    [true, true, true],
    [true, false, true],
    [false, true, false],
    [false, false, false],
  ];

  it.each(ways.flatMap((adapted) => [true, false].map((bias) => ({ adapted, bias }))))(
    'are what each is, joined or not: %o',
    async ({ adapted, bias }) => {
      const { cases, feeds } = drawn(`linears ${adapted.join()} ${bias}`, 12, (draw) => {
        const layers = adapted.map((own) => layer(draw, { bias, adapted: own }));
        const x = draw.tensor('any', [draw.one(['a', 'token']), 'width'], { ...draw.sizes, token: 2, width: 4 });
        return { got: applyLinears(layers, x), expected: layers.map((own) => applyLinear(own, x)) };
      });
      same(
        float64(
          cases.flatMap(({ got }) => got),
          feeds,
        ),
        float64(
          cases.flatMap(({ expected }) => expected),
          feeds,
        ),
      );
      expect(
        await agree(
          engine,
          cases.flatMap(({ got }) => got),
          feeds,
        ),
      ).toHaveLength(36);
    },
  );

  it('are joined for a single token, where the joined matrix is small', () => {
    const kinds = (lead: Readonly<Record<string, number>>, out: number): string[] => {
      const layers = [0, 1].map((i) => ({ weight: input(`w${i}`, 'float32', { out, width: 2 ** 10 }) }));
      return applyLinears(layers, input('x', 'float32', { ...lead, width: 2 ** 10 })).map(({ node }) => node.op.kind);
    };
    const most = JOINED / 2 ** 11;
    expect(kinds({ prompt: 3 }, most)).toEqual(['slice', 'slice']);
    expect(kinds({ prompt: 3 }, most + 1)).toEqual(['dot', 'dot']);
    expect(kinds({ prompt: 3, token: 2 }, most)).toEqual(['dot', 'dot']);
  });
});
