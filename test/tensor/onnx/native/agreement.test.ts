import { afterAll, describe, expect, it } from 'vitest';

import { onCpu, without } from './libraries.js';
import { drawn, type Draw } from '../../cases.js';
import { open } from '../../../models/vlm/opened.js';
import { asking, loss, lessons, prompts } from '../../../models/vlm/lessons.js';
import { gradient } from '../../../../src/tensor/gradient.js';
import type { Tensor } from '../../../../src/tensor/graph.js';
import { graphOf, inputsOf } from '../../../../src/tensor/engine.js';
import * as ops from '../../../../src/tensor/ops.js';
import { openEngine } from '../../../../src/tensor/engines.js';

const [node, native] = [
  openEngine({ workers: 1, threads: 1 }),
  openEngine({ workers: 1, threads: 1, device: { kind: 'cpu', libraries: onCpu } }),
];
afterAll(() => Promise.all([node.release(), native.release()]));

/** Draws graphs and compares what both runtimes make of them, bit by bit. */
function agrees(purpose: string, make: (draw: Draw) => readonly Tensor[]): void {
  it.skipIf(without !== '')(`${purpose}${without}`, async () => {
    const { cases, feeds } = drawn(purpose, 6, make);
    const program = graphOf(purpose, Object.fromEntries(cases.flat().map((t, i) => [`y${i}`, t])));
    const [expected, got] = await Promise.all(
      [node, native].map(async (engine) => {
        await engine.open(program);
        return engine.run(program, Object.fromEntries(inputsOf(program).map(({ name }) => [name, feeds[name]])));
      }),
    );
    expect(got).toEqual(expected);
  });
}

describe("onnxruntime-node and the runtime's C API agree to the bit on", () => {
  agrees('functions of each kind of element', (draw) => [
    ...[ops.exp, ops.silu, ops.gelu].map((f) => f(draw.tensor('any'))),
    ops.add(draw.tensor('int'), draw.tensor('int')),
    ops.and(draw.tensor('bool'), draw.tensor('bool')),
    ops.where(draw.tensor('bool'), draw.tensor('int'), 3),
    ops.cast(draw.tensor('int'), 'float32'),
  ]);
  agrees('products, reductions and layouts', (draw) => {
    const x = draw.tensor('any', ['a', 'b', 'c']);
    return [
      ops.dot(x, draw.tensor('any', ['c', 'd', 'a']), 'c'),
      ops.softmax(x, 'b'),
      ops.sum(x, 'a', 'c'),
      ops.argmax(x, 'c'),
      ops.order(x, 'c', 'a', 'b'),
    ];
  });
  agrees('gradients', (draw) => {
    const [x, w] = [draw.tensor('any', ['a', 'b']), draw.tensor('any', ['b', 'c'])];
    return gradient(ops.total(ops.square(ops.tanh(ops.dot(x, w, 'b')))), [x, w]);
  });
  agrees('loops that end early', (draw) => {
    const { collected, state } = ops.loop(5, { sum: draw.tensor('any', ['a']) }, (turn, { sum }) => ({
      state: { sum: ops.add(sum, 0.5) },
      collect: { turn, sum },
      going: ops.less(ops.max(sum, 'a'), 1),
    }));
    return [collected.turn, collected.sum, state.sum];
  });
  it.skipIf(without !== '')(`a policy that writes, scores and computes losses${without}`, async () => {
    const results = await Promise.all(
      [undefined, { kind: 'cpu', libraries: onCpu } as const].map(async (device) => {
        const policy = await open({ batch: 2, ...(device && { device }) });
        const asked = prompts(policy).slice(0, 3);
        const rows = lessons(policy, 2, asked);
        return [
          await policy.generate(asking(asked, { group: 2, temperature: 1, maxTokens: 6, topK: 40 }, 'u')),
          await policy.scores({ rows, temperature: 1 }),
          (await policy.gradient({ loss, rows, temperature: 1 })).metrics,
        ];
      }),
    );
    expect(results[1]).toEqual(results[0]);
  });
});
