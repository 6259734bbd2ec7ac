import { afterAll, describe, expect, it } from 'vitest';

import { matrixRun, measure } from '../../src/cli/matrix-speed.js';
import { inputsOf, type Engine } from '../../src/tensor/engine.js';
import { openEngine } from '../../src/tensor/engines.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

describe('matrix products', () => {
  it.each(['float32', 'bfloat16', 'float16'] as const)(
    'come back as they must in %s, rounded to it on the CPU',
    async (precision) => {
      const run = matrixRun('cpu', precision, { side: 64, products: 3 });
      expect(run.operations).toBe(2 * 64 ** 3 * 3);
      expect(await measure(engine, run, 0)).toBeGreaterThan(0);
    },
  );
  it('are traced for CUDA in the precision itself, with one cast at each end', () => {
    const { graph } = matrixRun('cuda', 'bfloat16', { side: 64, products: 3 });
    expect(inputsOf(graph).map(({ name, dtype }) => [name, dtype])).toEqual([
      ['rows', 'float32'],
      ['share', 'float32'],
    ]);
    expect(Object.values(graph.outputs).map(({ dtype }) => dtype)).toEqual(['float32']);
  });
  it('that come back wrong are no figure', async () => {
    const run = matrixRun('cpu', 'float32', { side: 64, products: 1 });
    const wrong: Pick<Engine, 'open' | 'run' | 'close'> = {
      ...engine,
      run: async () => ({ outputs: { back: new Float32Array(64) }, sizes: {}, version: 0 }),
    };
    await expect(measure(wrong as Engine, run, 0)).rejects.toThrow(
      'matrix products in float32: expected 1 in row 1; got 0: the device computes wrongly',
    );
  });
});
