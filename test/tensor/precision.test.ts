import { afterAll, describe, expect, it } from 'vitest';

import { agree, drawn, type Draw } from './cases.js';
import { interpret } from './interpret.js';
import { gradient } from '../../src/tensor/gradient.js';
import { dependencies, reachable, type Half, type Tensor } from '../../src/tensor/graph.js';
import { graphOf, trace } from '../../src/tensor/engine.js';
import { emit } from '../../src/tensor/onnx/emit.js';
import * as ops from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

const HALVES: readonly Half[] = ['bfloat16', 'float16'];
/** Distance of neighbours, of the size of the number. */
const STEP = { bfloat16: 2 ** -8, float16: 2 ** -11 } as const;

const kinds = (t: Tensor): string[] => reachable([t], dependencies).map((n) => `${n.op.kind} ${n.outputs[0]?.dtype}`);

/** A little network: two layers, a residual, a loss. */
function network(draw: Draw): { readonly loss: Tensor; readonly weights: readonly Tensor[] } {
  const sizes = { token: 3, width: 4, inner: 5 };
  const x = draw.tensor('any', ['token', 'width'], sizes);
  const [up, down] = [draw.tensor('any', ['inner', 'width'], sizes), draw.tensor('any', ['width', 'inner'], sizes)];
  const h = ops.silu(ops.dot(x, up, 'width'));
  const y = ops.add(x, ops.dot(h, down, 'inner'));
  return { loss: ops.mean(ops.square(ops.rename(y, { token: 'row' })), 'row', 'width'), weights: [x, up, down] };
}

describe.each(HALVES)('%s', (half) => {
  it('computes products in it and everything else in float32', () => {
    const [x, w] = [ops.input('x', 'float32', { a: 2, b: 3 }), ops.input('w', half, { c: 4, b: 3 })];
    const y = ops.inPrecision(half, () => ops.silu(ops.dot(x, w, 'b')));
    expect(kinds(y)).toEqual([
      'input float32',
      `input ${half}`,
      `cast ${half}`,
      `dot ${half}`,
      'cast float32',
      'unary float32',
    ]);
    expect(kinds(ops.dot(x, w, 'b'))).toEqual(['input float32', `input ${half}`, 'cast float32', 'dot float32']);
  });

  it('hands what one product computed on to the next as it is', () => {
    const [x, w, v] = [
      ops.input('x', 'float32', { a: 2, b: 3 }),
      ops.input('w', half, { c: 4, b: 3 }),
      ops.input('v', half, { d: 5, c: 4 }),
    ];
    const y = ops.inPrecision(half, () => ops.dot(ops.dot(x, w, 'b'), v, 'c'));
    expect(kinds(y)).toEqual([
      'input float32',
      `input ${half}`,
      `input ${half}`,
      `cast ${half}`,
      `dot ${half}`,
      `dot ${half}`,
      'cast float32',
    ]);
    const other = half === 'bfloat16' ? 'float16' : 'bfloat16';
    expect(kinds(ops.cast(ops.cast(ops.input('z', half, { a: 1 }), 'float32'), other))).toEqual([
      `input ${half}`,
      'cast float32',
      `cast ${other}`,
    ]);
  });

  it('is over when tracing in it is, also by a mistake', () => {
    const x = ops.input('x', 'float32', { a: 2, b: 3 });
    expect(() => ops.inPrecision(half, () => ops.dot(x, x, 'none'))).toThrow('expected none on both sides');
    expect(kinds(ops.dot(x, x, 'b'))).toEqual(['input float32', 'dot float32']);
  });

  it('rounds as the interpreter does: casts, products, and what is moved between them', async () => {
    const { cases, feeds } = drawn(`${half} products`, 12, (draw) => {
      const [x, y] = [draw.tensor('any', ['a', 'b', 'c']), draw.tensor('any', ['a', 'd', 'c'])];
      const moved = ops.cast(
        ops.order(ops.concat([ops.cast(x, half), ops.cast(x, half)], 'b'), 'c', 'b', 'a'),
        'float32',
      );
      return [ops.cast(ops.cast(x, half), 'float32'), ops.inPrecision(half, () => ops.dot(x, y, 'c', 0.5)), moved];
    });
    const values = await agree(engine, cases.flat(), feeds, STEP[half]);
    expect(values).toHaveLength(cases.flat().length);
  });

  it('hands gradients on in float32, near the slopes of the same network in float32', async () => {
    const { cases, feeds } = drawn(`${half} gradients`, 6, network);
    const slopes = cases.flatMap(({ loss, weights }) => gradient(loss, weights));
    const exact = interpret(slopes, feeds);
    const narrow = drawn(`${half} gradients`, 6, (draw) =>
      ops.inPrecision(half, () => {
        const { loss, weights } = network(draw);
        return gradient(loss, weights);
      }),
    );
    const got = await agree(engine, narrow.cases.flat(), narrow.feeds, 8 * STEP[half]);
    for (const [i, slope] of narrow.cases.flat().entries()) {
      expect(slope.dtype).toBe('float32');
      const expected = exact[i]?.data;
      const largest = Math.max(...expected.map(Math.abs));
      const own = got[i];
      for (const [j, value] of own.data.entries())
        expect(Math.abs(value - expected[j]), `${i} ${j}`).toBeLessThan(16 * STEP[half] * largest);
    }
  });

  it('survives blocks that are computed again and loops', async () => {
    const { cases, feeds } = drawn(`${half} bodies`, 4, (draw) =>
      ops.inPrecision(half, () => {
        const sizes = { token: 6, width: 4 };
        const [x, w] = [
          draw.tensor('any', ['token', 'width'], sizes),
          draw.tensor('any', ['out', 'width'], { out: 4, width: 4 }),
        ];
        const [block] = ops.recompute([ops.cast(x, half)], (h) => [ops.tanh(ops.dot(h, w, 'width'))]);
        const { y } = ops.inChunks('token', 2, [block], (part) => ({ y: ops.dot(part, w, 'out') }));
        const loss = ops.total(ops.square(y));
        return [loss, ...gradient(loss, [x, w])];
      }),
    );
    const values = await agree(engine, cases.flat(), feeds, 8 * STEP[half]);
    expect(values).toHaveLength(12);
  });

  it('is refused where it has no arithmetic, and does not come back', () => {
    const x = ops.input('x', half, { a: 2 });
    for (const f of [
      () => ops.add(x, x),
      () => ops.exp(x),
      () => ops.sum(x, 'a'),
      () => ops.less(x, x),
      () => ops.pad(x, 'a', 1, 0),
      () => ops.where(ops.input('c', 'bool', {}), x, x),
    ])
      expect(f).toThrow(half);
    expect(() => emit(graphOf('out', { y: ops.expand(x, ops.dims({ b: 2, a: 2 })) }), 'cpu')).toThrow(
      `out: expected float32, int64 or bool to come back; got ${half} for y`,
    );
  });

  it('takes inputs in it on CUDA, and on the CPU in float32', () => {
    const graph = trace('product', half, () => ({
      y: ops.dot(ops.input('x', 'float32', { a: 2, b: 3 }), ops.input('w', half, { c: 4, b: 3 }), 'b'),
    }));
    expect(emit(graph, 'cuda').inputs.map(({ dtype }) => dtype)).toEqual(['float32', half]);
    expect(emit(graph, 'cpu').inputs.map(({ dtype }) => dtype)).toEqual(['float32', 'float32']);
  });
});
