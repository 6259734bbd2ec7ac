import { mkdtemp, realpath, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { onCpu, without } from './libraries.js';
import { OutOfMemoryError } from '../../../../src/errors.js';
import { gradient } from '../../../../src/tensor/gradient.js';
import type { Place, Precision, Tensor } from '../../../../src/tensor/graph.js';
import { nativeRuntime } from '../../../../src/tensor/onnx/native/runtime.js';
import { GRADIENT, graphOf } from '../../../../src/tensor/engine.js';
import * as ops from '../../../../src/tensor/ops.js';
import { emit } from '../../../../src/tensor/onnx/emit.js';
import { openOnnx, type OnnxEngine } from '../../../../src/tensor/onnx/session.js';
import { layoutOf } from '../../../../src/tensor/layout.js';

let open: OnnxEngine[] = [];
/** Released after the test. */
function opened(): OnnxEngine {
  const engine = openOnnx({ workers: 1, threads: 1, device: { kind: 'cpu', libraries: onCpu } });
  open.push(engine);
  return engine;
}
afterEach(async () => {
  await Promise.all(open.map((engine) => engine.release()));
  open = [];
});

/** w · x + bias, summed, and its gradients. */
function model() {
  const [x, w, bias] = [
    ops.input('x', 'float32', { n: 2 }),
    ops.input('w', 'float32', { m: 3, n: 2 }),
    ops.input('bias', 'float32', { m: 3 }),
  ];
  const loss = ops.total(ops.add(ops.dot(w, x, 'n'), bias));
  const [dw, db] = gradient(loss, [w, bias]) as [Tensor, Tensor];
  const program = graphOf('model', { loss, [`${GRADIENT}w`]: dw, [`${GRADIENT}bias`]: db });
  return {
    program,
    forward: graphOf('forward', { loss }),
    layout: layoutOf([
      { name: 'bias', sizes: [3] },
      { name: 'unused', sizes: [2] },
      { name: 'w', sizes: [3, 2] },
    ]),
  };
}
const values = [10, 20, 30, 7, 7, 1, 2, 3, 4, 5, 6];
const x = Float32Array.of(1, -1);

/** A file of `values` behind 5 bytes that mean something else. */
async function file(numbers: readonly number[], dtype?: Precision): Promise<Place> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'segr1-native-')));
  await writeFile(
    join(dir, 'weights.bin'),
    Buffer.concat([Buffer.alloc(5, 7), new Uint8Array(Float32Array.from(numbers).buffer)]),
  );
  return { file: join(dir, 'weights.bin'), offset: 5, ...(dtype && { dtype }) };
}

describe.skipIf(without !== '')(`an engine on the runtime's C API${without}`, () => {
  describe('parameters', () => {
    it('are held on the device, and gradients come back laid out like them', async () => {
      const { program, layout } = model();
      const engine = opened();
      await engine.open(program);
      const shared = new Float32Array(new SharedArrayBuffer(4 * layout.length));
      shared.set(values);
      await engine.parameters('policy', layout, shared, 3);
      shared.fill(99);
      const answer = await engine.run(program, { x });
      expect(answer).toEqual({
        outputs: { loss: Float32Array.of(57) },
        sizes: { loss: [] },
        gradient: Float32Array.of(1, 1, 1, 0, 0, 1, -1, 1, -1, 1, -1),
        version: 3,
      });
    });
    it('are written over by a later version, in the memory of the earlier', async () => {
      const { forward, layout } = model();
      const engine = opened();
      await engine.open(forward);
      await engine.parameters('policy', layout, Float32Array.from(values));
      const before = await engine.memory();
      await engine.parameters('policy', layout, new Float32Array(11).fill(1), 1);
      expect(await engine.memory()).toEqual(before);
      expect(await engine.run(forward, { x })).toMatchObject({ outputs: { loss: Float32Array.of(3) }, version: 1 });
    });
    it('of another layout take the place of the earlier, whose memory is given back', async () => {
      const { forward, layout } = model();
      const engine = opened();
      await engine.open(forward);
      const large = layoutOf([...layout.entries, { name: 'large', sizes: [1_000_000] }]);
      await engine.parameters('policy', large, new Float32Array(large.length).fill(2));
      const { inUse } = (await engine.memory()) ?? { inUse: 0 };
      await engine.parameters('policy', layout, Float32Array.from(values));
      expect(inUse - ((await engine.memory())?.inUse ?? 0)).toBeGreaterThanOrEqual(4_000_000);
      expect((await engine.run(forward, { x })).outputs).toEqual({ loss: Float32Array.of(57) });
    });
  });

  describe('weights in files', () => {
    it('are read once, whatever sets and graphs have them and wherever they lie', async () => {
      const { forward, program } = model();
      const engine = opened();
      const [w, bias] = [await file(values.slice(5)), await file(values.slice(0, 3))];
      await engine.places(
        'policy',
        new Map([
          ['w', w],
          ['bias', bias],
        ]),
      );
      await engine.places(
        'reference',
        new Map([
          ['w', { ...w }],
          ['bias', { ...bias }],
        ]),
      );
      await engine.open(forward);
      const { inUse } = (await engine.memory()) ?? { inUse: 0 };
      await engine.open({ ...forward, name: 'again' }, ['reference']);
      await engine.open(program, ['reference']);
      // A graph's own constants, and no weight's 256 bytes twice.
      expect((await engine.memory())?.inUse).toBeLessThan(inUse + 256);
      const runs = [engine.run(forward, { x }), engine.run({ name: 'again' }, { x }, ['reference'])];
      for (const { outputs } of await Promise.all(runs)) expect(outputs).toEqual({ loss: Float32Array.of(57) });
    });
    it('are one where two names lie at one place', async () => {
      const [a, b] = [ops.input('a', 'float32', { n: 1000 }), ops.input('b', 'float32', { n: 1000 })];
      const engine = opened();
      const place = await file(Array.from({ length: 1000 }, () => 1));
      await engine.places(
        'policy',
        new Map([
          ['a', place],
          ['b', place],
        ]),
      );
      const program = graphOf('tied', { sum: ops.total(ops.add(a, b)) });
      await engine.open(program);
      expect((await engine.memory())?.inUse).toBeLessThan(8000);
      expect((await engine.run(program, {})).outputs).toEqual({ sum: Float32Array.of(2000) });
    });
    it('give way to what is fed, to tensors of their name and to a set of parameters, and are freed with the last set that has them', async () => {
      const { forward, layout } = model();
      const engine = opened();
      const w = await file(values.slice(5));
      await engine.places(
        'policy',
        new Map([
          ['w', w],
          ['bias', await file([0, 0, 0])],
        ]),
      );
      await engine.tensor('policy', 'bias', Float32Array.of(10, 20, 30));
      await engine.open(forward);
      expect((await engine.run(forward, { x })).outputs).toEqual({ loss: Float32Array.of(57) });
      expect((await engine.run(forward, { x, w: new Float32Array(6) })).outputs).toEqual({ loss: Float32Array.of(60) });
      const held = (await engine.memory())?.inUse as number;
      await engine.parameters('policy', layout, new Float32Array(11));
      expect(held - ((await engine.memory())?.inUse as number)).toBe(2 * 256 - 3 * 256);
      expect((await engine.run(forward, { x })).outputs).toEqual({ loss: Float32Array.of(0) });
    });
    it('of another kind than the graph asks for are refused, naming both', async () => {
      const engine = opened();
      const place = await file(values.slice(5), 'bfloat16');
      await engine.places('policy', new Map([['w', place]]));
      await expect(engine.open(model().forward)).rejects.toThrow(
        `forward: expected float32 for the input w; got bfloat16, as it lies in ${place.file}`,
      );
    });
    it('that end too soon are named', async () => {
      const engine = opened();
      const place = await file(values.slice(5, 9));
      await engine.places('policy', new Map([['w', place]]));
      await expect(engine.open(model().forward)).rejects.toThrow(
        `forward: ${place.file}: expected 24 bytes from 5 on; got 16`,
      );
    });
  });

  describe('outputs', () => {
    it('stay on the device where they are to be kept, until they are dropped', async () => {
      const engine = opened();
      const y = ops.input('y', 'float32', { n: 100_000 });
      const sum = graphOf('sum', { sum: ops.total(y) });
      await engine.open(sum);
      const program = graphOf('squares', { y: ops.square(ops.input('x', 'float32', { n: 100_000 })) });
      await engine.open(program);
      const before = (await engine.memory())?.inUse as number;
      const { outputs, kept, sizes } = await engine.run(program, { x: new Float32Array(100_000).fill(2) }, [], {
        keep: ['y'],
      });
      expect([outputs, sizes]).toEqual([{}, { y: [100_000] }]);
      expect(((await engine.memory())?.inUse as number) - before).toBeGreaterThanOrEqual(400_000);
      for (let i = 0; i < 2; i++)
        expect((await engine.run(sum, { y: kept?.['y'] as never })).outputs).toEqual({ sum: Float32Array.of(400_000) });
      await engine.drop(Object.values(kept ?? {}));
      expect((await engine.memory())?.inUse).toBe(before);
      await expect(engine.run(sum, { y: kept?.['y'] as never })).rejects.toThrow(
        'sum: expected an output that was kept for the input y; got one that was dropped',
      );
    });
    it('of no elements come back', async () => {
      const engine = opened();
      const flags = ops.input('flags', 'int64', { n: 0 });
      const program = graphOf('nothing', { none: ops.add(flags, 1), off: ops.not(ops.input('on', 'bool', {})) });
      await engine.open(program);
      expect((await engine.run(program, { flags: new BigInt64Array(0), on: Uint8Array.of(1) })).outputs).toEqual({
        none: new BigInt64Array(0),
        off: Uint8Array.of(0),
      });
    });
  });

  describe('what goes wrong', () => {
    const lookup = () =>
      graphOf('lookup', {
        row: ops.gather(
          ops.input('table', 'float32', { row: 4, n: 2 }),
          'row',
          ops.input('ids', 'int64', { token: 3 }),
        ),
      });
    const table = new Float32Array(8);
    it.each([
      [
        'a missing input',
        { table },
        'lookup: expected a value for the input ids; got neither a feed nor a parameter of the set policy',
      ],
      [
        'too few elements',
        { table: new Float32Array(7), ids: new BigInt64Array(3) },
        'lookup: expected 8 elements of float32 for the input table; got 7 of float32',
      ],
      [
        'another type',
        { table, ids: new Float32Array(3) },
        'lookup: expected 3 elements of int64 for the input ids; got 3 of float32',
      ],
      ['an index that is none', { table, ids: BigInt64Array.of(0n, 4n, 1n) }, /^lookup: .*gather#\d+.*idx=4/s],
    ])('names %s, and goes on', async (_, feeds, message) => {
      const engine = opened();
      await engine.open(lookup());
      await expect(engine.run(lookup(), feeds)).rejects.toThrow(message);
      expect((await engine.run(lookup(), { table, ids: new BigInt64Array(3) })).sizes).toEqual({ row: [3, 2] });
    });
    it('names a parameter of another size', async () => {
      const { forward } = model();
      const engine = opened();
      await engine.open(forward);
      await engine.parameters(
        'policy',
        layoutOf([
          { name: 'w', sizes: [4] },
          { name: 'bias', sizes: [3] },
        ]),
        new Float32Array(7),
      );
      await expect(engine.run(forward, { x })).rejects.toThrow(
        'forward: expected 6 elements of float32 for the input w; got 4 of float32',
      );
    });
    it('names a graph that the runtime refuses', async () => {
      const engine = opened();
      await expect(
        engine.openProgram({ ...emit(lookup(), 'cpu'), name: 'torn', bytes: Uint8Array.of(1, 2, 3) }),
      ).rejects.toThrow(/^torn: /);
    });
    it('names a library that is none of ONNX Runtime', async () => {
      const engine = openOnnx({
        workers: 1,
        threads: 1,
        device: { kind: 'cpu', libraries: { runtime: join(tmpdir(), 'nothing.so'), libraries: [] } },
      });
      await expect(engine.open(lookup())).rejects.toThrow('nothing.so: expected a library that can be loaded; got ');
      await engine.release();
    });
    it('refuses several workers on a GPU', () => {
      expect(() => openOnnx({ workers: 2, threads: 1, device: { kind: 'cuda', index: 0, libraries: onCpu } })).toThrow(
        'openEngine  workers: expected 1 on a GPU, which one thread feeds; got 2',
      );
    });
  });
});

describe.skipIf(without !== '')(`the runtime itself${without}`, () => {
  const users = new Int32Array(new SharedArrayBuffer(8));
  it('says how much was asked for where there is no room, and goes on', async () => {
    const runtime = nativeRuntime({ libraries: onCpu, provider: 'cpu', threads: 1, users, memory: 10_000_000 });
    const y = ops.square(ops.input('x', 'float32', { n: 1000 }));
    const session = await runtime.open(
      emit(graphOf('large', { all: ops.total(ops.exp(ops.expand(y, ops.dims({ m: 4000, n: 1000 })))), y }), 'cpu'),
      new Map(),
    );
    const inputs = [{ name: 'x', dtype: 'float32', sizes: [1000], from: { data: new Float32Array(1000) } }] as const;
    const outputs = [{ name: 'all', dtype: 'float32', sizes: [] }] as const;
    const failed = session.run(inputs, outputs);
    await expect(failed).rejects.toBeInstanceOf(OutOfMemoryError);
    await expect(failed).rejects.toMatchObject({
      bytes: 16_000_000,
      message: expect.stringMatching(
        /^expected room for 16000000 bytes more; got Available memory of \d+ is smaller than requested bytes of 16000000$/,
      ),
    });
    expect(() => runtime.own(new Float32Array(5_000_000))).toThrow(OutOfMemoryError);
    const small = await runtime.open(emit(graphOf('small', { y }), 'cpu'), new Map());
    expect((await small.run(inputs, [{ name: 'y', dtype: 'float32', sizes: [1000] }]))[0]?.sizes).toEqual([1000]);
    await session.release();
    await small.release();
    await runtime.end();
  });
  it('holds no more after a thousand runs than after the first, and can be opened again', async () => {
    for (let turn = 0; turn < 2; turn++) {
      const runtime = nativeRuntime({ libraries: onCpu, provider: 'cpu', threads: 1, users });
      const n = 20_000;
      const y = ops.square(ops.input('x', 'float32', { n }));
      const session = await runtime.open(emit(graphOf('often', { y, sum: ops.total(y) }), 'cpu'), new Map());
      const into = new Float32Array(new ArrayBuffer(4 * n));
      const data = new Float32Array(n).fill(3);
      const run = async (): Promise<void> => {
        const [kept, sum] = await session.run(
          [{ name: 'x', dtype: 'float32', sizes: [n], from: { data } }],
          [
            { name: 'y', dtype: 'float32', sizes: [n], ...(turn === 0 ? { into } : { keep: true }) },
            { name: 'sum', dtype: 'float32', sizes: [] },
          ],
        );
        if (kept?.held) runtime.release([kept.held]);
        expect(sum?.data).toEqual(Float32Array.of(9 * n));
      };
      await run();
      const [{ inUse, taken }, before] = [runtime.memory() ?? { inUse: NaN, taken: NaN }, process.memoryUsage().rss];
      for (let i = 0; i < 1000; i++) await run();
      expect(runtime.memory()).toMatchObject({ inUse, taken });
      // A run that kept its 80 kB would have left 80 MB.
      expect(process.memoryUsage().rss - before).toBeLessThan(40e6);
      await session.release();
      await runtime.end();
      expect(users[1]).toBe(0);
    }
  });
});
