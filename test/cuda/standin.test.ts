import { describe, expect, it } from 'vitest';

import type { Tensor } from '../../src/tensor/graph.js';
import { emit, type Program } from '../../src/tensor/onnx.js';
import { ELEMENT, encodeModel } from '../../src/tensor/onnx-schema.js';
import { add, dot, input, total } from '../../src/tensor/ops.js';
import { replay, type Outcome } from './replay.js';
import { findStandin, type Standin } from './standin.js';

const standin = findStandin();

/** Runs one graph on the stand-in. */
async function ran(program: Program, env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  const feeds = Object.fromEntries(program.inputs.map(({ name, sizes }) => [name, sizes.reduce((product, size) => product * size, 1)]));
  const calls = [{ kind: 'open', program, sets: [] } as const, { kind: 'run', program: program.name, sets: [], feeds } as const];
  return (await replay(standin as Standin, [{ name: 'it', calls }], { env })).get('it') as Outcome;
}

const graph = (y: Tensor): Program => emit('graph', { y }, 'cuda');
const vector = (length: number): Tensor => input('x', 'float32', { length });
const product = (): Program => graph(dot(input('a', 'float32', { row: 3, inner: 5 }), input('b', 'float32', { column: 7, inner: 5 }), 'inner'));

/** Pads whole numbers, which CUDA has no kernel for and segr1 therefore never does. */
function padded(): Program {
  const sized = (name: string, size: number) => ({ name, type: { tensorType: { elemType: ELEMENT.int64, shape: { dim: [{ dimValue: size }] } } } });
  const pads = BigInt64Array.of(1n, 0n);
  const graphOf = {
    name: 'padded',
    node: [{ name: 'left behind', opType: 'Pad', domain: '', input: ['x', 'pads'], output: ['y'], attribute: [] }],
    initializer: [{ name: 'pads', dims: [2], dataType: ELEMENT.int64, rawData: new Uint8Array(pads.buffer) }],
    input: [sized('x', 4)],
    output: [sized('y', 5)],
  };
  const bytes = encodeModel({ irVersion: 10, producerName: 'segr1', graph: graphOf, opsetImport: [{ domain: '', version: 23 }] });
  return { name: 'padded', bytes, inputs: [{ name: 'x', dtype: 'int64', sizes: [4] }], outputs: [{ name: 'y', dtype: 'int64', sizes: [5] }] };
}

describe.skipIf('lacks' in standin)(`a CUDA runtime without a device${'lacks' in standin ? `, left out: ${standin.lacks}` : ''}`, () => {
  it('runs a graph, counts what it allocates and copies', async () => {
    const { error, opened, runs: [run] } = await ran(graph(add(vector(64), 1)));
    expect(error).toBeUndefined();
    expect(opened).toHaveLength(1);
    expect([...(run?.toDevice ?? [])]).toEqual([[4 * 64, 1]]);
    expect([...(run?.toHost ?? [])]).toEqual([[4 * 64, 1]]);
    expect(run?.kernels).toBe(1);
    expect(run?.held).toBeGreaterThan(0);
    expect(run?.peak).toBeGreaterThanOrEqual(run?.held ?? 0);
  });

  it.each([['0', 0], ['1', 1]])('counts products, and those whose factors may be rounded where NVIDIA_TF32_OVERRIDE is %s', async (override, rounded) => {
    const { runs: [run] } = await ran(product(), { NVIDIA_TF32_OVERRIDE: override });
    expect(run?.operations).toEqual({ float32: 2 * 3 * 5 * 7 });
    expect(run?.rounded).toBe(rounded);
  });

  it('names the nodes that are left to the CPU', async () => {
    const { error, elsewhere } = await ran(padded());
    expect(error).toContain('fallback to CPU EP');
    expect(elsewhere).toEqual(['Pad left behind']);
  });

  it.each([
    ['there is no device', { STANDIN_DEVICES: '0' }, 'no CUDA-capable device is detected'],
    ['all devices are hidden', { CUDA_VISIBLE_DEVICES: '' }, 'no CUDA-capable device is detected'],
    ['the driver is too old', { STANDIN_DRIVER: '12080' }, 'CUDA driver version is insufficient'],
  ])('fails as the real one does where %s', async (_, env, message) => {
    const { error, runs } = await ran(graph(add(vector(4), 1)), env);
    expect(error).toContain(message);
    expect(runs).toEqual([]);
  });

  it.each([
    ['has less memory', { STANDIN_MEMORY: '20e6' }],
    ['shares it with others', { STANDIN_MEMORY: '80e9', STANDIN_TAKEN: `${80e9 - 20e6}` }],
  ])('refuses what it has no room for where it %s', async (_, env) => {
    const large = graph(total(add(vector(8e6), 1)));
    const { error, refused } = await ran(large, env);
    expect(error).toContain('Failed to allocate memory');
    expect(refused).toBeGreaterThan(0);
    expect(await ran(large)).toMatchObject({ refused: 0 });
  });
});
