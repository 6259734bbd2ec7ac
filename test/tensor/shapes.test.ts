import { describe, expect, it } from 'vitest';

import { scoped, ShapeError } from '../../src/tensor/graph.js';
import { graphOf } from '../../src/tensor/engine.js';
import { emit } from '../../src/tensor/onnx/emit.js';
import * as ops from '../../src/tensor/ops.js';

const f = (sizes: ops.Sizes) => ops.input('f', 'float32', sizes);
const i = (sizes: ops.Sizes) => ops.input('i', 'int64', sizes);
const b = (sizes: ops.Sizes) => ops.input('b', 'bool', sizes);

const [x, wide, flags, index] = [f({ token: 3, width: 4 }), f({ width: 5 }), b({ token: 3 }), i({ token: 3 })];

/** The whole of a message. */
const exactly = (message: string): RegExp => new RegExp(`^${message.replaceAll(/[.[\]]/g, String.raw`\$&`)}$`);

describe('a mistake is refused where it is traced', () => {
  it.each<readonly [string, () => unknown]>([
    [
      'add: expected the same size of width; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.add(x, wide),
    ],
    [
      'mul: expected two numbers of one type; got [token 3, width 4] float32 and [token 3] int64',
      () => ops.mul(x, index),
    ],
    ['max: expected two numbers of one type; got [token 3] bool and [token 3] bool', () => ops.maximum(flags, flags)],
    ['sub: expected a whole number beside int64, not 0.5; got [token 3] int64', () => ops.sub(0.5, index)],
    ['and: expected two bools; got [token 3] bool and [token 3] int64', () => ops.and(flags, index)],
    [
      'less: expected two numbers of one type; got [token 3] int64 and [token 3, width 4] float32',
      () => ops.less(index, x),
    ],
    [
      'greaterEqual: expected two numbers of one type; got [token 3] bool and [token 3] bool',
      () => ops.greaterEqual(flags, flags),
    ],
    ['equal: expected two values of one type; got [token 3] bool and [token 3] int64', () => ops.equal(flags, index)],
    ['exp: expected float32; got [token 3] int64', () => ops.exp(index)],
    ['neg: expected float32; got [token 3] bool', () => ops.neg(flags)],
    ['not: expected a bool; got [token 3, width 4] float32', () => ops.not(x)],
    ['where: expected a bool condition; got [token 3] int64', () => ops.where(index, x, x)],
    [
      'where: expected branches of one type; got [token 3, width 4] float32 and [token 3] int64',
      () => ops.where(flags, x, index),
    ],
    [
      'where: expected the same size of width; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.where(flags, x, wide),
    ],
    [
      'where: expected the same size of token; got [token 2] bool and [token 3, width 4] float32',
      () => ops.where(b({ token: 2 }), x, 0),
    ],
    ['constant: expected 3 elements; got [n 2]', () => ops.constant([1, 2, 3], { n: 2 })],
    ['dims: expected whole sizes; got [n 1.5]', () => f({ n: 1.5 })],
    ['dims: expected whole sizes; got [n -1]', () => f({ n: -1 })],
    ['empty: expected a dimension called head; got [token 3]', () => ops.empty({ token: 3 }, 'head')],
    [
      'append: expected a value made by empty, and one with all its dimensions but token; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.append(x, 'token', wide),
    ],
    [
      'append: expected the same sizes; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.append(ops.empty({ token: 3, width: 4 }, 'token'), 'token', wide),
    ],
    ['sum: expected a dimension called head; got [token 3, width 4] float32', () => ops.sum(x, 'width', 'head')],
    ['max: expected numbers; got [token 3] bool', () => ops.max(flags, 'token')],
    ['mean: expected float32; got [token 3] int64', () => ops.mean(index, 'token')],
    ['argmax: expected a dimension called head; got [token 3, width 4] float32', () => ops.argmax(x, 'head')],
    ['argmax: expected numbers; got [token 3] bool', () => ops.argmax(flags, 'token')],
    ['cumsum: expected a dimension called head; got [token 3, width 4] float32', () => ops.cumsum(x, 'head')],
    ['cumsum: expected numbers; got [token 3] bool', () => ops.cumsum(flags, 'token')],
    ['softmax: expected a dimension called head; got [token 3, width 4] float32', () => ops.softmax(x, 'head')],
    ['softmax: expected float32; got [token 3] int64', () => ops.softmax(index, 'token')],
    ['logSoftmax: expected a dimension called head; got [token 3, width 4] float32', () => ops.logSoftmax(x, 'head')],
    ['logSoftmax: expected float32; got [token 3] int64', () => ops.logSoftmax(index, 'token')],
    [
      'dot: expected the same size of width; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.dot(x, wide, 'width'),
    ],
    [
      'dot: expected token on both sides; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.dot(x, wide, 'token'),
    ],
    [
      'dot: expected two floating-point values; got [token 3, width 4] float32 and [token 3] int64',
      () => ops.dot(x, index, 'token'),
    ],
    [
      'reshape: expected as many elements; got [token 3, width 4] float32 and [n 13]',
      () => ops.reshape(x, ops.dims({ n: 13 })),
    ],
    [
      'reshape: expected each name once; got [token 3, width 4] float32 and [n 3, n 4]',
      () =>
        ops.reshape(x, [
          { name: 'n', size: 3 },
          { name: 'n', size: 4 },
        ]),
    ],
    ['rename: expected a dimension called head; got [token 3, width 4] float32', () => ops.rename(x, { head: 'h' })],
    [
      'rename: expected each name once; got [token 3, width 4] float32 and [width 3, width 4]',
      () => ops.rename(x, { token: 'width' }),
    ],
    [
      'split: expected parts of width; got [token 3, width 4] float32 and [head 3, each 1.3333333333333333]',
      () => ops.split(x, 'width', { head: 3, each: -1 }),
    ],
    [
      'split: expected parts of width; got [token 3, width 4] float32 and [head 2, each 3]',
      () => ops.split(x, 'width', { head: 2, each: 3 }),
    ],
    [
      'split: expected each name once; got [token 3, width 4] float32 and [token 3, token 2, each 2]',
      () => ops.split(x, 'width', { token: 2, each: 2 }),
    ],
    [
      'merge: expected a dimension called head; got [token 3, width 4] float32',
      () => ops.merge(x, ['width', 'head'], 'all'),
    ],
    ['merge: expected at least one dimension named; got [token 3, width 4] float32', () => ops.merge(x, [], 'all')],
    [
      'merge: expected each dimension once, as width, width; got [token 3, width 4] float32',
      () => ops.merge(x, ['width', 'width'], 'all'),
    ],
    [
      'merge: expected each name once; got [token 3, width 4] float32 and [token 3, token 4]',
      () => ops.merge(x, ['width'], 'token'),
    ],
    [
      'lift: expected each name once; got [token 3, width 4] float32 and [width 1, token 3, width 4]',
      () => ops.lift(x, 'width'),
    ],
    ['drop: expected width of size 1; got [token 3, width 4] float32', () => ops.drop(x, 'width')],
    ['order: expected all dimensions named, as width; got [token 3, width 4] float32', () => ops.order(x, 'width')],
    [
      'order: expected all dimensions named, as width, width; got [token 3, width 4] float32',
      () => ops.order(x, 'width', 'width'),
    ],
    ['order: expected a dimension called head; got [token 3, width 4] float32', () => ops.order(x, 'width', 'head')],
    [
      'expand: expected a shape with the same dimensions; got [token 3, width 4] float32 and [token 3, head 2]',
      () => ops.expand(x, ops.dims({ token: 3, head: 2 })),
    ],
    [
      'expand: expected each name once; got [width 5] float32 and [width 5, n 2, n 2]',
      () => ops.expand(wide, [...wide.shape, { name: 'n', size: 2 }, { name: 'n', size: 2 }]),
    ],
    ['slice: expected token to hold 2 to 4; got [token 3, width 4] float32', () => ops.slice(x, 'token', 2, 2)],
    ['slice: expected token to hold -1 to 1; got [token 3, width 4] float32', () => ops.slice(x, 'token', -4, 2)],
    ['slice: expected a dimension called head; got [token 3, width 4] float32', () => ops.slice(x, 'head', 0, 1)],
    ['pad: expected zeros to add, not -1 and 0; got [token 3, width 4] float32', () => ops.pad(x, 'token', -1, 0)],
    ['pad: expected a dimension called head; got [token 3, width 4] float32', () => ops.pad(x, 'head', 1, 0)],
    [
      'concat: expected parts that differ in token only; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.concat([x, wide], 'token'),
    ],
    [
      'concat: expected parts that differ in token only; got [token 3, width 4] float32 and [token 2, width 5] float32',
      () => ops.concat([x, f({ token: 2, width: 5 })], 'token'),
    ],
    [
      'concat: expected parts that differ in token only; got [token 3] int64 and [token 3] bool',
      () => ops.concat([index, flags], 'token'),
    ],
    ['concat: expected a dimension called head; got [token 3, width 4] float32', () => ops.concat([x, x], 'head')],
    ['concat: expected at least one part; got none', () => ops.concat([], 'token')],
    ['gather: expected a dimension called row; got [token 3, width 4] float32', () => ops.gather(x, 'row', index)],
    [
      'gather: expected an int64 index; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.gather(x, 'token', wide),
    ],
    [
      'gather: expected an index without width; got [token 3, width 4] float32 and [width 4] int64',
      () => ops.gather(x, 'token', i({ width: 4 })),
    ],
    [
      'scatterAdd: expected values that begin with the dimensions of the index; got [width 5] float32 and [token 3] int64',
      () => ops.scatterAdd(wide, index, 'row', 2),
    ],
    [
      'scatterAdd: expected float32 values and an int64 index; got [token 3] int64 and [token 3] int64',
      () => ops.scatterAdd(index, index, 'row', 2),
    ],
    [
      'scatterAdd: expected each name once; got [token 3, width 4] float32 and [token 3] int64 and [width 2, width 4]',
      () => ops.scatterAdd(x, index, 'width', 2),
    ],
    [
      'pick: expected an int64 index with all dimensions but width; got [token 3, width 4] float32 and [token 2] int64',
      () => ops.pick(x, 'width', i({ token: 2 })),
    ],
    [
      'pick: expected an int64 index with all dimensions but width; got [token 3, width 4] float32 and [row 3] int64',
      () => ops.pick(x, 'width', i({ row: 3 })),
    ],
    [
      'pick: expected an int64 index with all dimensions but width; got [token 3, width 4] float32 and [token 3] bool',
      () => ops.pick(x, 'width', flags),
    ],
    [
      'rmsNorm: expected width last, and a weight of width; got [token 3, width 4] float32 and [width 5] float32',
      () => ops.rmsNorm(x, wide, 'width', 1e-6),
    ],
    [
      'rmsNorm: expected float32; got [token 3] int64 and [token 3] int64',
      () => ops.rmsNorm(index, index, 'token', 1e-6),
    ],
    [
      'rotate: expected width last, tables of half its size; got [token 3, width 4] float32 and [half 3] float32 and [half 3] float32',
      () => ops.rotate(x, f({ half: 3 }), f({ half: 3 }), 'width'),
    ],
    [
      'rotate: expected float32; got [width 4] int64 and [half 2] int64 and [half 2] int64',
      () => ops.rotate(i({ width: 4 }), i({ half: 2 }), i({ half: 2 }), 'width'),
    ],
    [
      'loop: expected x to keep its type and shape; got [token 3, width 4] float32 and [token 3] float32',
      () =>
        ops.loop(2, { x }, (turn, state) => ({
          state: { x: ops.sum(state.x, 'width') },
          collect: {},
          going: ops.less(turn, 1),
        })),
    ],
    [
      'loop: expected a scalar bool to go on by; got [token 3] bool',
      () => ops.loop(2, { x }, (_, state) => ({ state, collect: {}, going: flags })),
    ],
    [
      'loop: expected collected values without a dimension called step; got [step 2] float32',
      () => ops.loop(2, { x }, (turn, state) => ({ state, collect: { y: f({ step: 2 }) }, going: ops.less(turn, 1) })),
    ],
  ])('%s', (message, trace) => {
    expect(() => scoped('layer1', () => scoped('mlp', trace))).toThrow(ShapeError);
    expect(() => scoped('layer1', () => scoped('mlp', trace))).toThrow(exactly(`layer1/mlp/${message}`));
  });

  it('names no scope outside of one', () => {
    expect(() => ops.add(x, wide)).toThrow(/^add: expected/);
  });
  it('leaves the scope after a mistake', () => {
    expect(() => scoped('lost', () => ops.add(x, wide))).toThrow('lost/add: expected');
    expect(() => ops.add(x, wide)).toThrow(/^add: expected/);
  });
  it('gives every input and output of a graph a name of its own', () => {
    expect(() => emit(graphOf('twins', { y: ops.add(f({ n: 1 }), f({ n: 1 })) }), 'cpu')).toThrow(
      'twins: expected inputs and outputs to have a name each; got f twice',
    );
    expect(() => emit(graphOf('echo', { f: f({ n: 1 }) }), 'cpu')).toThrow(
      'echo: expected inputs and outputs to have a name each; got f twice',
    );
  });
});
