import { describe, expect, it } from 'vitest';

import type { Tensor } from '../../src/tensor/graph.js';
import { graphOf } from '../../src/tensor/engine.js';
import { emit, type Program } from '../../src/tensor/onnx/emit.js';
import { ELEMENT, encodeModel } from '../../src/tensor/onnx/schema.js';
import { add, dot, input } from '../../src/tensor/ops.js';
import { replay, type Outcome, type ReplayOptions } from './replay.js';
import { findStandin, type Standin } from './standin.js';

const standin = findStandin();

/** Runs one graph on the stand-in. */
async function ran(program: Program, options: ReplayOptions = {}): Promise<Outcome> {
  const feeds = Object.fromEntries(
    program.inputs.map(({ name, sizes }) => [name, sizes.reduce((product, size) => product * size, 1)]),
  );
  const calls = [
    { kind: 'open', program, sets: [] } as const,
    { kind: 'run', name: program.name, sets: [], feeds, keep: {} } as const,
  ];
  return (await replay(standin as Standin, [{ name: 'it', calls }], options)).get('it') as Outcome;
}

const graph = (y: Tensor): Program => emit(graphOf('graph', { y }), 'cuda');
const vector = (length: number): Tensor => input('x', 'float32', { length });
const product = (): Program =>
  graph(dot(input('a', 'float32', { row: 3, inner: 5 }), input('b', 'float32', { column: 7, inner: 5 }), 'inner'));

/** Pads whole numbers, which CUDA has no kernel for and segr1 therefore never does. */
function padded(): Program {
  const sized = (name: string, size: number) => ({
    name,
    type: { tensorType: { elemType: ELEMENT.int64, shape: { dim: [{ dimValue: size }] } } },
  });
  const pads = BigInt64Array.of(1n, 0n);
  const graphOf = {
    name: 'padded',
    node: [{ name: 'left behind', opType: 'Pad', domain: '', input: ['x', 'pads'], output: ['y'], attribute: [] }],
    initializer: [{ name: 'pads', dims: [2], dataType: ELEMENT.int64, rawData: new Uint8Array(pads.buffer) }],
    input: [sized('x', 4)],
    output: [sized('y', 5)],
  };
  const bytes = encodeModel({
    irVersion: 10,
    producerName: 'segr1',
    graph: graphOf,
    opsetImport: [{ domain: '', version: 23 }],
  });
  return {
    name: 'padded',
    bytes,
    inputs: [{ name: 'x', dtype: 'int64', sizes: [4] }],
    outputs: [{ name: 'y', dtype: 'int64', sizes: [5] }],
  };
}

describe.skipIf('lacks' in standin)(
  `a CUDA runtime without a device${'lacks' in standin ? `, left out: ${standin.lacks}` : ''}`,
  () => {
    it('runs a graph, counts what it allocates and copies', async () => {
      const {
        error,
        opened,
        runs: [run],
      } = await ran(graph(add(vector(64), 1)));
      expect(error).toBeUndefined();
      expect(opened).toHaveLength(1);
      expect([...(run?.toDevice ?? [])]).toEqual([[4 * 64, 1]]);
      expect([...(run?.toHost ?? [])]).toEqual([[4 * 64, 1]]);
      expect(run?.kernels).toBe(1);
      expect(run?.held).toBeGreaterThan(0);
      expect(run?.peak).toBeGreaterThanOrEqual(run?.held ?? 0);
    });

    it.each([
      [0, 'unless it is told to', {}],
      [1, 'where it is', { tf32: true }],
      [0, 'where the variable of the real one forbids it', { tf32: true, env: { NVIDIA_TF32_OVERRIDE: '0' } }],
    ])('counts products, and rounds the factors of %i of them %s', async (rounded, _, options) => {
      const {
        runs: [run],
      } = await ran(product(), options);
      expect(run?.operations).toEqual({ float32: 2 * 3 * 5 * 7 });
      expect(run?.rounded).toBe(rounded);
    });

    it('names the nodes that are left to the CPU', async () => {
      expect((await ran(padded())).error).toBe(
        'padded: expected every operation on the GPU; got no kernel for Pad at left behind',
      );
    });

    it.each([
      ['there is no device', { STANDIN_DEVICES: '0' }, 'no CUDA-capable device is detected'],
      ['all devices are hidden', { CUDA_VISIBLE_DEVICES: '' }, 'no CUDA-capable device is detected'],
      ['the driver is too old', { STANDIN_DRIVER: '12080' }, 'CUDA driver version is insufficient'],
    ])('fails as the real one does where %s', async (_, env, message) => {
      const { error, runs } = await ran(graph(add(vector(4), 1)), { env });
      expect(error).toContain(message);
      expect(runs).toEqual([]);
    });

    it.each([
      ['has less memory', { STANDIN_MEMORY: '20e6' }],
      ['shares it with others', { STANDIN_TAKEN: `${80e9 - 20e6}` }],
    ])('refuses what it has no room for where it %s', async (_, env) => {
      const { error, refused } = await ran(graph(add(vector(4), 1)), { memory: 30e6, env });
      expect(error).toMatch(
        /^cuda:0  memory: expected 30000000 bytes free on the device, in one piece; got 20000000 of \d+; way out: /,
      );
      expect(refused).toBeGreaterThan(0);
      expect(await ran(graph(add(vector(4), 1)), { memory: 256 * 40_000, env })).toMatchObject({
        refused: 0,
        runs: [{ held: 256 * 40_000 }],
      });
    });
  },
);
