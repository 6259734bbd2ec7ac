import { afterEach, describe, expect, it } from 'vitest';

import { onCpu, without } from './libraries.js';
import { uniform } from '../../../../src/random.js';
import { adamState, adamw, gradientNorm } from '../../../../src/tensor/adamw.js';
import { GRADIENT, graphOf, SUM, type Engine, type EngineLearning } from '../../../../src/tensor/engine.js';
import * as ops from '../../../../src/tensor/ops.js';
import { openEngine } from '../../../../src/tensor/engines.js';
import { layoutOf, type Layout } from '../../../../src/tensor/layout.js';
import type { Tensor } from '../../../../src/tensor/graph.js';
import { emit } from '../../../../src/tensor/onnx/emit.js';
import type { OnnxEngine } from '../../../../src/tensor/onnx/session.js';
import { fromBf16, toBf16 } from '../../../../src/io/half.js';

let engine: Engine;
afterEach(() => engine.release());

/** An engine that learns where its sets are held. */
function opened(): EngineLearning {
  engine = openEngine({ workers: 1, threads: 1, device: { kind: 'cpu', libraries: onCpu } });
  return engine.learning as EngineLearning;
}

const drawn = (key: string, length: number): Float32Array =>
  Float32Array.from({ length }, (_, i) => uniform(key, i) * 2 - 1);

describe.skipIf(without !== '')(`learning where the weights are held${without}`, () => {
  // The second is larger than what one run of the graph takes.
  const layout = layoutOf([
    { name: 'a.bias', sizes: [5] },
    { name: 'b', sizes: [2 ** 22 + 3] },
    { name: 'c', sizes: [3, 7] },
  ]);

  it('steps as the host does', async () => {
    const learning = opened();
    const [values, state] = [drawn('values', layout.length), adamState(layout)];
    await engine.parameters('policy', layout, values);
    const options = {
      learningRate: 1e-2,
      beta1: 0.8,
      weightDecay: 0.1,
      decays: (name: string) => !name.endsWith('bias'),
      gradientScale: 0.5,
    };
    for (let step = 1; step <= 2; step++) {
      const gradient = drawn(`gradient ${step}`, layout.length);
      await learning.write('policy', 'gradient', gradient);
      expect(await learning.norm('policy')).toBeCloseTo(gradientNorm(gradient), 3);
      await learning.step('policy', layout, { ...options, step, version: 7 });
      adamw(layout, values, gradient, state, options);
    }
    for (const [part, expected] of [
      ['values', values],
      ['first', state.first],
      ['second', state.second],
    ] as const) {
      const got = await learning.read('policy', part);
      let apart = 0;
      for (let i = 0; i < got.length; i++) apart = Math.max(apart, Math.abs(got[i] - expected[i]));
      expect([part, apart < 1e-6]).toEqual([part, true]);
    }
  });

  it("sums gradients up where they are, begins anew when it is told to, and says which version's weights a run had", async () => {
    const learning = opened();
    const small = layoutOf([
      { name: 'w', sizes: [2] },
      { name: 'never', sizes: [3] },
    ]);
    const [w, x] = [ops.input('w', 'float32', { n: 2 }), ops.input('x', 'float32', { n: 2 })];
    // The gradient of w · x is x.
    const program = graphOf('sums', {
      loss: ops.total(ops.mul(w, x)),
      [`${GRADIENT}w`]: ops.add(ops.mul(x, 1), ops.input(`${SUM}w`, 'float32', { n: 2 })),
    });
    await engine.open(program);
    await engine.parameters('policy', small, Float32Array.of(1, 2, 0, 0, 0));
    const run = async (sum: 'begin' | 'add', ...fed: [number, number]) =>
      engine.run(program, { x: Float32Array.of(...fed) }, ['policy'], { sum });
    const sum = async (): Promise<number[]> => [...(await learning.read('policy', 'gradient'))];
    expect(await run('begin', 3, 4)).toEqual({
      outputs: { loss: Float32Array.of(11) },
      sizes: { loss: [] },
      version: 0,
    });
    await run('add', 10, 20);
    expect(await sum()).toEqual([13, 24, 0, 0, 0]);
    expect(await learning.norm('policy')).toBeCloseTo(Math.hypot(13, 24), 4);
    await run('begin', 1, 1);
    expect(await sum()).toEqual([1, 1, 0, 0, 0]);
    await learning.step('policy', small, { learningRate: 0.5, step: 1, version: 4 });
    // Adam's first step is the learning rate, whatever the gradient's length.
    const { outputs, version } = await run('add', 1, 1);
    expect([version, outputs['loss']?.[0]]).toEqual([4, expect.closeTo(2, 4)]);
  });

  it('keeps moments where the values are written over, and gives their memory back with the set', async () => {
    const learning = opened();
    const small = layoutOf([{ name: 'w', sizes: [1000] }]);
    await engine.parameters('policy', small, new Float32Array(1000));
    const { inUse } = (await engine.memory()) ?? { inUse: 0 };
    await learning.write('policy', 'first', new Float32Array(1000).fill(3));
    await engine.parameters('policy', small, new Float32Array(1000).fill(1), 2);
    expect((await learning.read('policy', 'first'))[999]).toBe(3);
    await engine.parameters('policy', layoutOf([{ name: 'other', sizes: [1000] }]), new Float32Array(1000));
    expect((await engine.memory())?.inUse).toBe(inUse);
  });

  it('reads a part of a sum, across what lies apart', async () => {
    const learning = opened();
    await engine.parameters('policy', layout, new Float32Array(layout.length));
    const gradient = drawn('gradient', layout.length);
    await learning.write('policy', 'gradient', gradient);
    for (const [from, length] of [
      [0, 4],
      [3, 2 ** 22 + 7],
      [layout.length - 22, 22],
    ] as const) {
      const into = new Float32Array(new SharedArrayBuffer(4 * length));
      await learning.readInto('policy', 'gradient', from, into);
      expect(Buffer.from(into.buffer).equals(Buffer.from(gradient.buffer, 4 * from, 4 * length))).toBe(true);
    }
  });

  it('makes room for moments only where runs want them', async () => {
    const learning = opened();
    const one = layoutOf([{ name: 'w', sizes: [1000] }]);
    const w = ops.input('w', 'float32', { n: 1000 });
    const program = graphOf('sum', { [`${GRADIENT}w`]: ops.add(w, ops.input(`${SUM}w`, 'float32', { n: 1000 })) });
    await engine.open(program);
    await engine.parameters('policy', one, new Float32Array(1000));
    const inUse = async (): Promise<number> => (await engine.memory())?.inUse ?? NaN;
    const before = await inUse();
    await engine.run(program, {}, ['policy'], { sum: 'begin', moments: false });
    // In whole units of 256 bytes.
    expect((await inUse()) - before).toBe(4096);
    await engine.run(program, {}, ['policy'], { sum: 'begin' });
    expect((await inUse()) - before).toBe(3 * 4096);
    expect(learning).toBeDefined();
  });

  it('holds values in the formats of their layout, rounded as torch rounds them, also where they are written over', async () => {
    opened();
    const length = 2 ** 22 + 5;
    const mixed: Layout = {
      length: length + 6,
      entries: [
        { name: 'a', sizes: [3], offset: 0, length: 3 },
        { name: 'b', sizes: [length], offset: 3, length, held: 'bfloat16' },
        { name: 'c', sizes: [3], offset: 3 + length, length: 3 },
      ],
    };
    const float = (t: Tensor): Tensor => ops.cast(t, 'float32');
    const graph = graphOf('mixed', {
      before: ops.mul(ops.input('a', 'float32', { n: 3 }), 1),
      halves: float(ops.input('b', 'bfloat16', { m: length })),
      after: ops.mul(ops.input('c', 'float32', { n: 3 }), 1),
    });
    // As on CUDA: the CPU's own dialect has no halves.
    await (engine as OnnxEngine).openProgram(emit(graph, 'cuda'));
    for (const key of ['first', 'second']) {
      const values = drawn(key, mixed.length);
      // torch.tensor([1 + 2**-8, 1 + 3 * 2**-8]).bfloat16() is [1, 1 + 2**-6]: ties to even.
      values.set([1 + 2 ** -8, 1 + 3 * 2 ** -8], 3);
      await engine.parameters('policy', mixed, values);
      const { outputs } = await engine.run(graph, {});
      expect(outputs['before']).toEqual(values.slice(0, 3));
      expect(outputs['after']).toEqual(values.slice(-3));
      const halves = outputs['halves'] as Float32Array;
      expect([...halves.subarray(0, 2)]).toEqual([1, 1 + 2 ** -6]);
      const expected = new Float32Array(length);
      fromBf16(toBf16(values.slice(3, -3)), expected);
      expect(Buffer.from(halves.buffer).equals(Buffer.from(expected.buffer))).toBe(true);
    }
    await expect(engine.learning?.read('policy', 'values')).rejects.toThrow(
      'expected b in float32 to read it back; got a half',
    );
  });

  it('takes and gives what lies beyond 4 GiB of an array', async () => {
    const learning = opened();
    // A clone of a view keeps 32 bits of its place, in bytes. Pages that are not written take no memory.
    const at = 2 ** 30 + 4;
    const far: Layout = { length: at + 4, entries: [{ name: 'w', sizes: [4], offset: at, length: 4 }] };
    const values = new Float32Array(new SharedArrayBuffer(4 * far.length));
    values.set([1, 2, 3, 4], at);
    await engine.parameters('policy', far, values);
    const [w, x] = [ops.input('w', 'float32', { n: 4 }), ops.input('x', 'float32', { n: 4 })];
    const graph = graphOf('far', { loss: ops.total(ops.mul(w, x)), [`${GRADIENT}w`]: ops.mul(x, 1) });
    await engine.open(graph);
    const { outputs, gradient } = await engine.run(graph, { x: Float32Array.of(1, 10, 100, 1000) });
    expect(outputs['loss']).toEqual(Float32Array.of(4321));
    expect(gradient).toHaveLength(far.length);
    expect(gradient?.slice(at)).toEqual(Float32Array.of(1, 10, 100, 1000));
    values.set([5, 6, 7, 8], at);
    await learning.write('policy', 'gradient', values);
    const into = values.subarray(at);
    into.fill(0);
    await learning.readInto('policy', 'gradient', at, into);
    expect([...into]).toEqual([5, 6, 7, 8]);
  });

  it('says which set it knows nothing of', async () => {
    const learning = opened();
    await expect(learning.norm('policy')).rejects.toThrow('expected a set that learns where it is held; got policy');
  });
});
