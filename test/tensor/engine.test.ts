import { describe, expect, it } from 'vitest';

import { graphOf, inputsOf, openFile, trace, type Engine } from '../../src/tensor/engine.js';
import { ENGINE_NAMES, openEngine } from '../../src/tensor/engines.js';
import * as ops from '../../src/tensor/ops.js';

describe('a graph', () => {
  it('is traced with its products in one precision', () => {
    const product = () => ({
      y: ops.dot(ops.input('x', 'float32', { a: 2, b: 3 }), ops.input('w', 'float32', { c: 4, b: 3 }), 'b'),
    });
    const kinds = (precision: 'float32' | 'bfloat16'): string[] => {
      const { y } = trace('product', precision, product).outputs;
      return y ? [y.node.op.kind, y.node.inputs[0]?.dtype ?? 'none'] : [];
    };
    expect(kinds('float32')).toEqual(['dot', 'float32']);
    expect(kinds('bfloat16')).toEqual(['cast', 'bfloat16']);
  });

  it('knows its inputs from its outputs, in the order in which they were traced', () => {
    const [b, a] = [ops.input('b', 'int64', { n: 2 }), ops.input('a', 'bool', { m: 3, n: 2 })];
    ops.input('unused', 'float32', {});
    expect(inputsOf(graphOf('two', { a: ops.not(a), b: ops.add(b, 1) }))).toEqual([
      { name: 'b', dtype: 'int64', sizes: [2] },
      { name: 'a', dtype: 'bool', sizes: [3, 2] },
    ]);
  });
});

describe('openFile', () => {
  it('says which engine reads no files', async () => {
    const engine = { name: 'bare' } as Engine;
    await expect(
      openFile(engine, { name: 'decoder', file: '/m/decoder.onnx', inputs: [], outputs: [] }),
    ).rejects.toThrow('/m/decoder.onnx: expected an engine that opens graphs from files; got bare');
  });
});

describe('openEngine', () => {
  it('opens the engine that is named, ONNX Runtime by default', async () => {
    expect(ENGINE_NAMES).toEqual(['onnx']);
    for (const options of [{}, { runtime: 'onnx' } as const]) {
      const engine = openEngine({ workers: 1, threads: 1, ...options });
      expect([engine.name, engine.traits]).toEqual(['onnx', { device: 'cpu', halves: false }]);
      await engine.release();
    }
  });
});
