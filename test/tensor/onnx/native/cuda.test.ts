import { appendFileSync, existsSync, mkdtempSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { findStandin } from '../../../cuda/standin.js';
import { OutOfMemoryError } from '../../../../src/errors.js';
import { adamState } from '../../../../src/tensor/adamw.js';
import { gradient } from '../../../../src/tensor/gradient.js';
import type { Place, Tensor } from '../../../../src/tensor/graph.js';
import { GRADIENT, graphOf, SUM, type Device, type NativeLibraries } from '../../../../src/tensor/engine.js';
import { emit } from '../../../../src/tensor/onnx/emit.js';
import { ELEMENT, encodeModel } from '../../../../src/tensor/onnx/schema.js';
import * as ops from '../../../../src/tensor/ops.js';
import { openOnnx, type OnnxEngine } from '../../../../src/tensor/onnx/session.js';
import { layoutOf } from '../../../../src/tensor/layout.js';

const standin = findStandin();
const why = 'lacks' in standin ? ` (left out: ${standin.lacks})` : '';
const log = join(mkdtempSync(join(tmpdir(), 'segr1-cuda-')), 'log');
// Read when the libraries are loaded: this file's process has no other use for them.
process.env['STANDIN_LOG'] = log;

function libraries(): NativeLibraries {
  if ('lacks' in standin) throw new Error(standin.lacks);
  return standin;
}

let open: OnnxEngine[] = [];
/** Released after the test. */
function opened(options: Partial<Extract<Device, { kind: 'cuda' }>> = {}): OnnxEngine {
  const engine = openOnnx({
    workers: 1,
    threads: 1,
    device: { kind: 'cuda', index: 0, libraries: libraries(), memory: 200e6, ...options },
  });
  open.push(engine);
  return engine;
}
const release = async (): Promise<void> => {
  await Promise.all(open.map((engine) => engine.release()));
  open = [];
};
afterEach(async () => {
  for (const name of ['STANDIN_MEMORY', 'STANDIN_BYTES']) delete process.env[name];
  await release();
});

/** What the device did while something was done. */
async function during(work: () => Promise<unknown>): Promise<{
  readonly toDevice: number[];
  readonly toHost: number[];
  readonly taken: number[];
  readonly given: number[];
  readonly wrong: string[];
}> {
  const from = existsSync(log) ? readFileSync(log, 'utf8').length : 0;
  await work();
  const lines = readFileSync(log, 'utf8').slice(from).split('\n');
  const bytes = (start: string): number[] =>
    lines.flatMap((line) => (line.startsWith(start) ? [Number(line.slice(start.length).trim().split(' ')[0])] : []));
  return {
    toDevice: bytes('copy h2d'),
    toHost: bytes('copy d2h'),
    taken: bytes('alloc device'),
    given: bytes('free device'),
    wrong: lines.filter((line) => line.startsWith('wrong')),
  };
}

const held = (): number =>
  Number(
    /held (\d+)/.exec(
      readFileSync(log, 'utf8')
        .trimEnd()
        .split('\n')
        .findLast((line) => / device \d+ held /.test(line)) ?? '',
    )?.[1],
  );

/** Files of weights, zeros all. */
function weights(...counts: readonly (readonly [bytes: number, dtype: NonNullable<Place['dtype']>])[]): Place[] {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'segr1-cuda-')));
  return counts.map(([bytes, dtype], i) => {
    writeFileSync(join(dir, `${i}`), new Uint8Array(bytes + 8));
    return { file: join(dir, `${i}`), offset: 8, dtype };
  });
}

const [N, M] = [512, 256];
/** x · w in halves, and y added; the weights are held. */
function forward(name: string, factor: number) {
  const w = ops.input('w', 'bfloat16', { m: M, n: N });
  const x = ops.cast(ops.input('x', 'float32', { k: 8, n: N }), 'bfloat16');
  return graphOf(name, {
    y: ops.mul(ops.add(ops.cast(ops.dot(x, w, 'n'), 'float32'), ops.input('b', 'float32', { m: M })), factor),
  });
}

describe.skipIf(why !== '')(`an engine on CUDA's stand-in${why}`, () => {
  it('has weights on the device once, in the precision of their files, whatever graphs there are; a run copies what it is fed and what comes of it', async () => {
    const engine = opened();
    const [w, b] = weights([2 * N * M, 'bfloat16'], [4 * M, 'float32']) as [Place, Place];
    await engine.places(
      'policy',
      new Map([
        ['w', w],
        ['b', b],
      ]),
    );
    const programs = [1, 2, 3].map((factor) => forward(`times ${factor}`, factor));
    const opening = await during(async () => {
      for (const program of programs) await engine.open(program);
    });
    // Beside them a graph's own numbers.
    expect(opening.toDevice.filter((bytes) => bytes > 64).toSorted((a, z) => a - z)).toEqual([4 * M, 2 * N * M]);
    for (const program of programs) {
      for (let i = 0; i < 2; i++) {
        const run = await during(() => engine.run(program, { x: new Float32Array(8 * N) }));
        expect(run).toEqual({ toDevice: [4 * 8 * N], toHost: [4 * 8 * M], taken: [], given: [], wrong: [] });
      }
    }
  });

  it('takes its memory at once, and gives all of it back; other engines of the process share it', async () => {
    const engine = opened();
    const program = graphOf('square', { y: ops.square(ops.input('x', 'float32', { n: 1000 })) });
    const opening = await during(() => engine.open(program));
    expect(opening.taken.filter((bytes) => bytes > 1e6)).toEqual([200e6]);
    const other = opened({ memory: 500e6 });
    const second = await during(async () => {
      await other.open(program);
      for (const one of [engine, other]) await one.run(program, { x: new Float32Array(1000) });
    });
    expect(second.taken.filter((bytes) => bytes > 1)).toEqual([]);
    await engine.release();
    expect((await other.run(program, { x: new Float32Array(1000) })).sizes).toEqual({ y: [1000] });
    await release();
    expect(held()).toBe(0);
    // And once more, in the same process.
    expect((await opened().memory())?.taken).toBe(200e6);
  });

  it('takes memory as it is needed where that is to be measured', async () => {
    const engine = opened({ grow: true });
    const program = graphOf('square', { y: ops.square(ops.input('x', 'float32', { n: 1_000_000 })) });
    await engine.open(program);
    await engine.run(program, { x: new Float32Array(1_000_000) });
    // The input, its square, and the copy of it that comes back.
    expect(await engine.memory()).toEqual({ inUse: 0, most: 12e6, taken: 12e6 });
  });

  it('keeps parameters, sums of gradients, moments and kept outputs there', async () => {
    const engine = opened();
    const [x, p] = [ops.input('x', 'float32', { k: 8, n: N }), ops.input('p', 'float32', { m: M, n: N })];
    const y = ops.dot(x, p, 'n');
    const [dp] = gradient(ops.total(ops.square(y)), [p]) as [Tensor];
    const program = graphOf('learns', {
      y,
      [`${GRADIENT}p`]: ops.add(dp, ops.input(`${SUM}p`, 'float32', { m: M, n: N })),
    });
    await engine.open(program);
    const layout = layoutOf([{ name: 'p', sizes: [M, N] }]);
    const upload = await during(() => engine.parameters('policy', layout, new Float32Array(layout.length)));
    expect(upload.toDevice).toEqual([4 * N * M]);
    const feeds = { x: new Float32Array(8 * N) };
    for (const sum of ['begin', 'add'] as const) {
      let kept;
      const run = await during(
        async () => ({ kept } = await engine.run(program, feeds, ['policy'], { sum, keep: ['y'] })),
      );
      expect([run.toDevice, run.toHost]).toEqual([[4 * 8 * N], []]);
      await engine.drop(Object.values(kept ?? {}));
    }
    const step = await during(async () => {
      await engine.learning?.norm('policy');
      await engine.learning?.step('policy', layout, { learningRate: 1e-3, step: 1, version: 1 });
    });
    expect(Math.max(...step.toDevice, ...step.toHost)).toBeLessThan(1000);
    expect((await during(() => engine.learning?.read('policy', 'values') ?? Promise.resolve())).toHost).toEqual([
      4 * N * M,
    ]);
    expect(adamState(layout).first).toHaveLength(N * M);
  });

  it('names operations that the device has no kernel for', async () => {
    const program = graphOf('left', { y: ops.argmax(ops.input('x', 'int64', { n: 3, m: 2 }), 'n') });
    await expect(opened().open(program)).rejects.toThrow(
      'graph "left": expected an operation that the engine onnx (cuda) has; got argmax in int64',
    );
    await expect(opened().openProgram(emit(program, 'cuda'))).rejects.toThrow(
      'left: expected every operation on the GPU; got no kernel for ArgMax at argmax#0',
    );
  });

  it("leaves a file's arithmetic of shapes to the CPU, but nothing large", async () => {
    const dims = (...sizes: number[]) => ({ dim: sizes.map((dimValue) => ({ dimValue })) });
    const value = (name: string, ...sizes: number[]) => ({
      name,
      type: { tensorType: { elemType: ELEMENT.int64, shape: dims(...sizes) } },
    });
    // CUDA has neither of whole numbers, the CPU both.
    const file = (name: string, opType: string, ...input: string[]) => {
      const node = [{ name: 'odd', opType, input, output: ['y'], attribute: [] }];
      const path = join(realpathSync(mkdtempSync(join(tmpdir(), 'segr1-cuda-'))), `${name}.onnx`);
      writeFileSync(
        path,
        encodeModel({
          irVersion: 10,
          graph: { name, node, input: input.map((label) => value(label, 2, 2)), output: [value('y')] },
          opsetImport: [{ domain: '', version: 21 }],
        }),
      );
      return {
        name,
        file: path,
        inputs: input.map((label) => ({ name: label, dtype: 'int64', sizes: [2, 2] }) as const),
        outputs: [],
      };
    };
    const engine = opened();
    const small = file('small', 'ArgMax', 'x');
    await engine.openFile(small);
    await expect(engine.openFile(file('large', 'MatMul', 'a', 'b'))).rejects.toThrow(
      'large: expected every operation on the GPU; got no kernel for MatMul at odd',
    );
  });

  it('says how much is free where there is less than it should take', async () => {
    process.env['STANDIN_MEMORY'] = '1e8';
    const failed = opened().open(graphOf('square', { y: ops.square(ops.input('x', 'float32', {})) }));
    await expect(failed).rejects.toThrow(
      'cuda:0  memory: expected 200000000 bytes free on the device, in one piece; got 100000000 of 100000000; way out: a smaller memory, or fewer processes there',
    );
  });

  it('takes nine tenths of what is free by default', async () => {
    process.env['STANDIN_MEMORY'] = '1e8';
    const engine = openOnnx({ workers: 1, threads: 1, device: { kind: 'cuda', index: 0, libraries: libraries() } });
    open.push(engine);
    expect((await engine.memory())?.taken).toBe(Math.floor(90e6 / 256) * 256);
  });

  it('says that memory ran out, and goes on; weights that do not fit are another matter', async () => {
    const engine = opened();
    const large = (rows: number) =>
      graphOf(`rows ${rows}`, {
        y: ops.total(
          ops.exp(ops.expand(ops.input('x', 'float32', { n: 1_000_000 }), ops.dims({ row: rows, n: 1_000_000 }))),
        ),
      });
    const feeds = { x: new Float32Array(1_000_000) };
    await engine.open(large(100));
    const failed = engine.run(large(100), feeds);
    await expect(failed).rejects.toBeInstanceOf(OutOfMemoryError);
    await expect(failed).rejects.toMatchObject({
      bytes: 400_000_000,
      message: expect.stringMatching(
        /^rows 100: expected room for 400000000 bytes more; got Available memory of \d+ is smaller/,
      ),
    });
    await engine.open(large(10));
    expect((await engine.run(large(10), feeds)).sizes).toEqual({ y: [] });
    const [w] = weights([4, 'float32']) as [Place];
    await engine.places('huge', new Map([['w', w]]));
    const huge = engine.open(graphOf('huge', { y: ops.total(ops.input('w', 'float32', { n: 100_000_000 })) }), [
      'huge',
    ]);
    await expect(huge).rejects.toThrow(
      /^huge: weights: expected room for 400000000 bytes more; .*; way out: a larger memory, precision: bfloat16, or a smaller checkpoint$/,
    );
    await expect(huge).rejects.not.toBeInstanceOf(OutOfMemoryError);
  });

  it('names a device that is not there', async () => {
    appendFileSync(log, 'mark another device\n');
    await expect(
      opened({ index: 5 }).open(graphOf('square', { y: ops.square(ops.input('x', 'float32', {})) })),
    ).rejects.toThrow(/cuda {2}device 5: .*\(CUDA error 101\)/);
  });
});
