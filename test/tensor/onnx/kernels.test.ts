import { afterAll, describe, expect, it } from 'vitest';

import { findStandin } from '../../cuda/standin.js';
import { graphOf } from '../../../src/tensor/engine.js';
import { isHalf, type DType, type Op, type Tensor } from '../../../src/tensor/graph.js';
import { emit } from '../../../src/tensor/onnx/emit.js';
import { hasKernel } from '../../../src/tensor/onnx/kernels.js';
import { openOnnx, type OnnxEngine } from '../../../src/tensor/onnx/session.js';
import * as ops from '../../../src/tensor/ops.js';

const standin = findStandin();
const why = 'lacks' in standin ? ` (left out: ${standin.lacks})` : '';

const moved: Readonly<Partial<Record<Op['kind'], (x: Tensor) => Tensor>>> = {
  reshape: (x) => ops.rename(x, { a: 'c' }),
  transpose: (x) => ops.order(x, 'b', 'a'),
  expand: (x) => ops.expand(x, ops.dims({ c: 2, a: 2, b: 3 })),
  slice: (x) => ops.slice(x, 'a', 1, 1),
  concat: (x) => ops.concat([x, x], 'a'),
  gather: (x) => ops.gather(x, 'a', ops.input('i', 'int64', { n: 4 })),
  pick: (x) => ops.pick(x, 'a', ops.input('i', 'int64', { b: 3 })),
};
const numbers: typeof moved = {
  binary: (x) => ops.maximum(x, ops.add(ops.mul(x, x), 1)),
  unary: (x) => ops.abs(ops.neg(x)),
  compare: (x) => ops.less(x, 1),
  where: (x) => ops.where(ops.input('c', 'bool', { b: 3 }), x, 0),
  reduce: (x) => ops.add(ops.sum(x, 'a'), ops.max(x, 'a')),
  argmax: (x) => ops.argmax(x, 'a'),
  cumsum: (x) => ops.cumsum(x, 'a'),
  top: (x) => ops.top(x, 'b', 2),
};
const padded: typeof moved = { pad: (x) => ops.pad(x, 'a', 1, 1) };

const cases = (
  [
    [moved, ['float32', 'bfloat16', 'float16', 'int64', 'bool']],
    [numbers, ['float32', 'int64']],
    [padded, ['float32', 'int64', 'bool']],
  ] as const
).flatMap(([makes, dtypes]) =>
  Object.entries(makes).flatMap(([kind, make]) =>
    dtypes.map((dtype): [Op['kind'], DType, (x: Tensor) => Tensor] => [kind as Op['kind'], dtype, make]),
  ),
);

describe.skipIf(why !== '')(`what CUDA has no kernel for${why}`, () => {
  let engine: OnnxEngine | undefined;
  afterAll(() => engine?.release());

  it.each(cases)(
    '%s in %s is refused by the runtime if the engine says so, and only then',
    async (kind, dtype, make) => {
      engine ??= openOnnx({
        workers: 1,
        threads: 1,
        device: { kind: 'cuda', index: 0, memory: 50e6, ...('lacks' in standin ? {} : { libraries: standin }) },
      });
      const y = make(ops.input('x', dtype, { a: 2, b: 3 }));
      const graph = graphOf(`${kind} in ${dtype}`, { y: isHalf(y.dtype) ? ops.cast(y, 'float32') : y });
      const refused = await engine.openProgram(emit(graph, 'cuda')).then(
        () => false,
        () => true,
      );
      expect(refused).toBe(!hasKernel(y.node.op, dtype, 'cuda'));
    },
  );
});
