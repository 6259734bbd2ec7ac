import { describe, expect, it } from 'vitest';

import { graphOf, trace } from '../../src/tensor/engine.js';
import { scoped, type DType, type Node } from '../../src/tensor/graph.js';
import { checkOperations } from '../../src/tensor/operations.js';
import * as ops from '../../src/tensor/ops.js';

const x = ops.input('x', 'float32', { n: 3 });
const without =
  (kind: Node['op']['kind'], ...dtypes: readonly DType[]) =>
  ({ op }: Node, dtype: DType): boolean =>
    op.kind !== kind || !dtypes.includes(dtype);

describe('checkOperations', () => {
  it('takes a graph whose operations are all there', () => {
    expect(() => checkOperations(graphOf('sum', { y: ops.total(x) }), 'small', () => true)).not.toThrow();
  });

  it('names graph, scope, operation, type and engine of the first that is not', () => {
    const image = ops.input('image', 'float32', { channel: 1, row: 4, column: 4 });
    const weight = ops.input('weight', 'float32', { out: 2, channel: 1, high: 2, wide: 2 });
    const graph = trace('encoder', 'bfloat16', () => ({
      y: scoped('layers.3', () =>
        scoped('patch', () => ops.convolve(image, weight, ops.input('bias', 'float32', { out: 2 }), 1, 0)),
      ),
    }));
    expect(() => checkOperations(graph, 'small (cuda)', without('convolve', 'float32'))).not.toThrow();
    expect(() => checkOperations(graph, 'small (cuda)', without('convolve', 'bfloat16'))).toThrow(
      'graph "encoder"  layers.3/patch: expected an operation that the engine small (cuda) has; got convolve in bfloat16',
    );
  });

  it('looks into loops and blocks', () => {
    const { collected } = ops.loop(3, { n: x }, (_, { n }) => {
      const [twice] = ops.recompute([n], (inside) => [scoped('inner', () => ops.exp(inside))]);
      return { going: ops.constant(Uint8Array.of(1), {}), state: { n: twice }, collect: { twice: n } };
    });
    expect(() => checkOperations(graphOf('loop', collected), 'small', without('unary', 'float32'))).toThrow(
      'graph "loop"  inner: expected an operation that the engine small has; got unary exp in float32',
    );
  });

  it('names the type that is looked at, not that of an index or a truth value', () => {
    const graph = graphOf('most', { at: ops.argmax(ops.input('ids', 'int64', { n: 3 }), 'n'), is: ops.less(x, 1) });
    expect(() => checkOperations(graph, 'small', without('argmax', 'int64'))).toThrow('got argmax in int64');
    expect(() => checkOperations(graph, 'small', without('compare', 'float32'))).toThrow('got compare less in float32');
  });

  it('shows the beginning of a long name', () => {
    expect(() => checkOperations(graphOf('n'.repeat(900), { y: ops.exp(x) }), 'small', () => false)).toThrow(
      `graph "${'n'.repeat(60)}…": expected`,
    );
  });
});
