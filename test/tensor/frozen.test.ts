import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { gradient } from '../../src/tensor/gradient.js';
import type { Tensor } from '../../src/tensor/graph.js';
import { graphOf, type Engine } from '../../src/tensor/engine.js';
import { emit } from '../../src/tensor/onnx/emit.js';
import {
  attend,
  constant,
  convolve,
  gelu,
  input,
  layerNorm,
  linear,
  mul,
  order,
  stored,
  total,
  type Sizes,
} from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';

// torch 2.9.1; every value is (arange(n) * 7 % 11 - 5) / 4 in its shape: F.linear, F.layer_norm with half of such a
// bias, scaled_dot_product_attention with half of
// such keys, F.conv2d with stride 2 and padding 1, F.gelu.
const EXPECTED = {
  linear: [2.375, -0.6875, -0.3125, -2.4375, 2.125, -1.5625],
  layerNorm: [1.016329, 0.512613, 0.012613, 2.266329, -0.875, -0.449999, -0.949999, 0.375],
  attend: [
    -0.704991, 0.435966, 0.175935, 0.246455, -0.289894, 0.029954, 0.474592, -0.123468, -0.698458, 0.442113, 0.207537,
    -0.499707, 0.529253, -0.10428, -0.27115, 0.050928, 0.262393, 0.287587, -0.295278, 0.025408, 0.57269, -0.051785,
    -0.704991, 0.435966,
  ],
  convolve: [-0.25, -1.9375, -4.0625, 3.3125, -0.375, 3.1875, 2.1875, 1.375, 2.5625, 1.3125, 1.6875, -0.9375],
  gelu: [-0.132062, 0.345731, -0.154269, 1.117938, 0.149677, -0.169971, 0.841345],
};

function pattern(length: number, factor = 1): Float32Array {
  return Float32Array.from({ length }, (_, i) => (factor * (((i * 7) % 11) - 5)) / 4);
}

function value(sizes: Sizes, factor = 1): Tensor {
  return constant(
    pattern(
      Object.values(sizes).reduce((a, b) => a * b, 1),
      factor,
    ),
    sizes,
  );
}

function examples(): Record<keyof typeof EXPECTED, Tensor> {
  return {
    linear: linear(value({ row: 2, c: 4 }), value({ o: 3, c: 4 }), value({ o: 3 })),
    layerNorm: layerNorm(value({ row: 2, c: 4 }), value({ c: 4 }), value({ c: 4 }, 0.5), 1e-6),
    attend: attend(
      value({ n: 2, query: 3, c: 4 }),
      value({ n: 2, key: 5, c: 4 }, 0.5),
      value({ n: 2, key: 5, c: 4 }),
      2,
    ),
    convolve: convolve(
      value({ channel: 2, row: 5, column: 4 }),
      value({ o: 2, channel: 2, high: 3, wide: 3 }),
      value({ o: 2 }),
      2,
      1,
    ),
    gelu: gelu(value({ n: 7 })),
  };
}

let engine: Engine;
beforeAll(() => void (engine = openEngine({ workers: 1, threads: 1 })));
afterAll(() => engine.release());

async function run(name: string, outputs: Record<string, Tensor>): Promise<Readonly<Record<string, Float32Array>>> {
  const program = graphOf(name, outputs);
  await engine.open(program);
  return (await engine.run(program, {})).outputs as Record<string, Float32Array>;
}

describe('layers of frozen models', () => {
  it('agree with torch', async () => {
    const outputs = await run('layers', examples());
    for (const [name, expected] of Object.entries(EXPECTED)) {
      expect([...outputs[name]].map((x, i) => [name, i, Math.abs(x - expected[i]) < 2e-6])).toEqual(
        expected.map((_, i) => [name, i, true]),
      );
    }
  });
  it('keep any dimensions in front', async () => {
    const x = value({ a: 2, b: 3, c: 4 });
    const whole = linear(x, value({ o: 3, c: 4 }), value({ o: 3 }));
    const turned = linear(order(x, 'b', 'a', 'c'), value({ o: 3, c: 4 }), value({ o: 3 }));
    const outputs = await run('in front', { whole, turned: order(turned, 'a', 'b', 'o') });
    expect(outputs['whole']).toEqual(outputs['turned']);
  });
  it.each(Object.keys(EXPECTED).filter((name) => name !== 'gelu'))('%s refuses to be differentiated', (name) => {
    const x = input('x', 'float32', {});
    const loss = total(mul(examples()[name as keyof typeof EXPECTED], x));
    expect(() => gradient(loss, [x])).not.toThrow();
    const learned = {
      linear: () => linear(input('y', 'float32', { c: 2 }), value({ o: 3, c: 2 }), value({ o: 3 })),
      layerNorm: () => layerNorm(input('y', 'float32', { c: 2 }), value({ c: 2 }), value({ c: 2 }), 1),
      attend: () => attend(input('y', 'float32', { q: 1, c: 2 }), value({ k: 2, c: 2 }), value({ k: 2, c: 2 }), 1),
      convolve: () =>
        convolve(input('y', 'float32', { c: 1, h: 3, w: 3 }), value({ o: 1, c: 1, y: 2, x: 2 }), value({ o: 1 }), 1, 0),
    }[name] as () => Tensor;
    const y = learned();
    expect(() => gradient(total(y), [y.node.inputs[0]])).toThrow(`${name}: expected an operation with a gradient`);
  });
  it.each([
    [
      'a weight of another width',
      () => linear(value({ c: 4 }), value({ o: 3, c: 5 }), value({ o: 3 })),
      'linear: expected a weight of [out, in] and a bias of [out], `in` being last',
    ],
    [
      'a norm of another dimension',
      () => layerNorm(value({ c: 4, d: 2 }), value({ c: 4 }), value({ c: 4 }), 1),
      'layerNorm: expected a weight and a bias of the last dimension',
    ],
    [
      'keys of another width',
      () => attend(value({ q: 2, c: 4 }), value({ k: 2, c: 2 }), value({ k: 2, c: 2 }), 1),
      'attend: expected queries, keys and values of one width',
    ],
    [
      'heads that do not divide',
      () => attend(value({ q: 2, c: 4 }), value({ k: 2, c: 4 }), value({ k: 2, c: 4 }), 3),
      'attend: expected a width of 3 heads',
    ],
    [
      'a kernel larger than the image',
      () => convolve(value({ c: 1, h: 2, w: 2 }), value({ o: 1, c: 1, y: 3, x: 3 }), value({ o: 1 }), 1, 0),
      'convolve: expected a kernel inside the image',
    ],
  ])('refuse %s', (_, trace, message) => expect(trace).toThrow(message));
});

describe('stored values', () => {
  it('are read from their file, from where they begin', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'segr1-stored-'));
    writeFileSync(join(folder, 'values.bin'), Buffer.from(pattern(10).buffer));
    const y = mul(stored({ file: join(folder, 'values.bin'), offset: 8 }, { n: 3 }), constant([2], {}));
    const outputs = await run('stored', { y });
    expect(outputs['y']).toEqual(
      pattern(10)
        .slice(2, 5)
        .map((x) => 2 * x),
    );
    rmSync(folder, { recursive: true });
  });
  it('must lie in one folder', () => {
    const two = mul(stored({ file: '/a/x', offset: 0 }, { n: 1 }), stored({ file: '/b/x', offset: 0 }, { n: 1 }));
    expect(() => emit(graphOf('torn', { two }), 'cpu')).toThrow(
      'torn: expected stored values in one folder; got /a, /b',
    );
  });
});
