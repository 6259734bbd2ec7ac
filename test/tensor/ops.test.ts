import { afterAll, describe, expect, it } from 'vitest';

import { agree, drawn, type Draw, type Kind } from './cases.js';
import { count, type Tensor } from '../../src/tensor/graph.js';
import * as ops from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

/** A test that draws cases and compares the runtime with the interpreter. */
function agrees(
  purpose: string,
  runs: number,
  make: (draw: Draw) => Tensor | readonly Tensor[],
  tolerance?: number,
): void {
  it(purpose, async () => {
    const { cases, feeds } = drawn(purpose, runs, (draw) => [make(draw)].flat());
    expect(await agree(engine, cases.flat(), feeds, tolerance)).toHaveLength(cases.flat().length);
  });
}

const sizesOf = (x: Tensor): Record<string, number> =>
  Object.fromEntries(x.shape.map(({ name, size }) => [name, size]));
const namesOf = (x: Tensor): string[] => x.shape.map(({ name }) => name);

describe('element by element', () => {
  agrees('functions of one value', 8, (draw) => [
    ...[ops.neg, ops.exp, ops.sigmoid, ops.tanh, ops.erf, ops.abs, ops.silu, ops.gelu, ops.square].map((f) =>
      f(draw.tensor('any')),
    ),
    ...[ops.log, ops.sqrt, ops.reciprocal].map((f) => f(draw.tensor('positive'))),
    ops.not(draw.tensor('bool')),
    ops.neg(draw.tensor('int')),
    ops.abs(draw.tensor('int')),
    ops.sign(draw.tensor('coarse')),
    ops.clip(draw.tensor('any'), -0.5, 1),
    ops.stopGradient(draw.tensor('any')),
  ]);
  agrees('functions of two values that broadcast by name', 40, (draw) => {
    const kind: Kind = draw.one(['any', 'coarse', 'int']);
    return [
      ...[ops.add, ops.sub, ops.mul, ops.minimum, ops.maximum].map((f) => f(draw.tensor(kind), draw.tensor(kind))),
      ops.div(draw.tensor('any'), draw.tensor('positive')),
      ops.div(draw.tensor('int'), ops.add(draw.tensor({ below: 3 }), 1)),
      ops.and(draw.tensor('bool'), draw.tensor('bool')),
      ops.or(draw.tensor('bool'), draw.tensor('bool')),
    ];
  });
  agrees('numbers beside values', 8, (draw) => {
    const [x, i] = [draw.tensor('any'), draw.tensor('int')];
    return [
      ops.add(x, 0.5),
      ops.sub(1, x),
      ops.mul(i, 3),
      ops.sub(2, i),
      ops.div(1, draw.tensor('positive')),
      ops.maximum(0, x),
      ops.minimum(i, 1),
      ops.add(2, 0.25),
      ops.less(0, x),
      ops.equal(i, 1),
    ];
  });
  agrees('operands that were expanded', 30, (draw) => {
    const [x, y] = [draw.tensor('any'), draw.tensor('any')];
    const whole = draw.shuffled(Object.keys(draw.sizes)).map((name) => ({ name, size: draw.sizes[name] }));
    return [
      ops.add(ops.expand(x, whole), y),
      ops.mul(y, ops.expand(x, whole)),
      ops.sub(ops.expand(x, whole), ops.expand(y, whole.toReversed())),
    ];
  });
  agrees('comparisons', 20, (draw) => {
    const kind: Kind = draw.one(['coarse', 'int']);
    return [
      ...[ops.less, ops.lessEqual, ops.greater, ops.greaterEqual, ops.equal].map((f) =>
        f(draw.tensor(kind), draw.tensor(kind)),
      ),
      ops.equal(draw.tensor('bool'), draw.tensor('bool')),
    ];
  });
  agrees('where, three partial shapes', 30, (draw) => {
    const kind: Kind = draw.one(['any', 'int', 'bool']);
    return [
      ops.where(draw.tensor('bool'), draw.tensor(kind), draw.tensor(kind)),
      ops.where(draw.tensor('bool'), draw.tensor('any'), -1),
      ops.where(draw.tensor('bool'), 1, 0),
    ];
  });
  agrees('casts', 4, (draw) => [
    ops.cast(draw.tensor('int'), 'float32'),
    ops.cast(draw.tensor('bool'), 'float32'),
    ops.cast(draw.tensor('bool'), 'int64'),
    ops.cast(draw.tensor('any'), 'int64'),
    ops.cast(draw.tensor('coarse'), 'bool'),
    ops.cast(draw.tensor('int'), 'bool'),
    ops.cast(draw.tensor('any'), 'float32'),
  ]);
  agrees('constants', 4, (draw) => [
    ops.add(draw.tensor('any'), ops.constant([1, 2, 3], { n: 3 })),
    ops.constant(Uint8Array.of(1, 0), { n: 2 }),
    ops.mul(draw.tensor('int'), ops.iota('n', 40)),
    ops.add(ops.constant(Float32Array.of(9, 1, 2, 9).subarray(1, 3), { n: 2 }), ops.constant([1, 2], { m: 2 })),
    // As many bytes, another type and another shape: neither may be taken for the other.
    ops.add(ops.constant(BigInt64Array.of(1n), {}), ops.constant(BigInt64Array.of(1n), { n: 1 })),
    ops.constant([0, 0], { n: 2 }),
    ops.constant(BigInt64Array.of(0n), { n: 1 }),
  ]);
});

describe('along dimensions', () => {
  agrees('sum, mean and max', 20, (draw) => {
    const x = draw.tensor(draw.one(['any', 'coarse']));
    const n = draw.tensor('int');
    return [
      ops.sum(x, ...draw.some(namesOf(x))),
      ops.mean(x, ...draw.some(namesOf(x))),
      ops.max(x, ...draw.some(namesOf(x))),
      ops.total(x),
      ops.sum(n, ...draw.some(namesOf(n))),
      ops.max(n, ...draw.some(namesOf(n))),
    ];
  });
  agrees('argmax takes the first of equals', 20, (draw) => {
    const x = draw.tensor('coarse', draw.some(undefined, 1));
    return ops.argmax(x, draw.one(namesOf(x)));
  });
  agrees('cumsum', 15, (draw) => {
    const x = draw.tensor(draw.one(['any', 'int']), draw.some(undefined, 1));
    return ops.cumsum(x, draw.one(namesOf(x)));
  });
  agrees('top, largest first', 20, (draw) => {
    const x = draw.tensor(draw.one(['any', 'coarse', 'int']), draw.some(undefined, 1));
    const over = draw.one(namesOf(x));
    const whole = sizesOf(x)[over];
    return [
      ops.top(x, over, draw.integer(1, whole)),
      ops.top(x, over, whole),
      ops.neg(ops.top(ops.neg(x), over, whole)),
    ];
  });
  it('top takes one value at least and no more than there are', () => {
    const x = ops.input('x', 'float32', { a: 3 });
    for (const size of [0, 4, 1.5])
      expect(() => ops.top(x, 'a', size)).toThrow(`top: expected 1 to 3 values of a, not ${size}; got [a 3] float32`);
    expect(() => ops.top(ops.input('x', 'bool', { a: 3 }), 'a', 1)).toThrow('top: expected numbers; got [a 3] bool');
  });
  agrees('softmax and its logarithm', 15, (draw) => {
    const x = draw.tensor('any', draw.some(undefined, 1));
    const over = draw.one(namesOf(x));
    return [
      ops.softmax(x, over),
      ops.logSoftmax(x, over),
      ops.softmax(ops.mul(x, 40), over),
      ops.logSoftmax(ops.mul(x, 40), over),
    ];
  });
  agrees('rmsNorm', 15, (draw) => {
    const names = draw.some(undefined, 1);
    const over = names.at(-1) as string;
    return ops.rmsNorm(draw.tensor('any', names), draw.tensor('any', [over]), over, 1e-5);
  });
});

describe('dot', () => {
  /** Batch, inner and own dimensions in any order on both sides. */
  function operands(
    draw: Draw,
    batch: number,
    inner: number,
    ownA: number,
    ownB: number,
  ): { a: Tensor; b: Tensor; over: string[] } {
    const names = (letter: string, n: number): string[] => Array.from({ length: n }, (_, i) => `${letter}${i}`);
    const sizes = Object.fromEntries(
      [...names('batch', batch), ...names('in', inner), ...names('left', ownA), ...names('right', ownB)].map((name) => [
        name,
        draw.integer(1, 3),
      ]),
    );
    const a = draw.tensor(
      'any',
      draw.shuffled([...names('batch', batch), ...names('in', inner), ...names('left', ownA)]),
      sizes,
    );
    const b = draw.tensor(
      'any',
      draw.shuffled([...names('batch', batch), ...names('in', inner), ...names('right', ownB)]),
      sizes,
    );
    return { a, b, over: draw.shuffled(names('in', inner)) };
  }

  for (const batch of [0, 1, 2]) {
    for (const inner of [1, 2]) {
      agrees(`${batch} in step, ${inner} summed, own dimensions in every order`, 40, (draw) => {
        const { a, b, over } = operands(draw, batch, inner, draw.integer(0, 2), draw.integer(0, 2));
        return ops.dot(a, b, over, draw.one([1, 0.25]));
      });
    }
  }
  agrees('nothing summed', 15, (draw) => {
    const { a, b, over } = operands(draw, draw.integer(0, 1), 0, draw.integer(0, 2), draw.integer(0, 2));
    return ops.dot(a, b, over);
  });
  it('every order of one of each, on both sides', async () => {
    const orders = [
      ['x', 'y', 'z'],
      ['x', 'z', 'y'],
      ['y', 'x', 'z'],
      ['y', 'z', 'x'],
      ['z', 'x', 'y'],
      ['z', 'y', 'x'],
    ];
    const { cases, feeds } = drawn('orders', 1, (draw) => {
      const sizes = { batch: 2, in: 3, left: 4, right: 2 };
      const turned = (own: string): Tensor[] =>
        orders.map((order) =>
          draw.tensor(
            'any',
            order.map((letter) => ({ x: 'batch', y: 'in', z: own })[letter] as string),
            sizes,
          ),
        );
      return turned('left').flatMap((a) => turned('right').map((b) => ops.dot(a, b, 'in')));
    });
    expect(await agree(engine, cases.flat(), feeds)).toHaveLength(36);
  });
});

describe('layout', () => {
  agrees('order, reshape, rename, lift and drop', 15, (draw) => {
    const x = draw.tensor(draw.one(['any', 'int', 'bool']), draw.some(undefined, 1));
    const name = draw.one(namesOf(x));
    return [
      ops.order(x, ...draw.shuffled(namesOf(x))),
      ops.reshape(x, [{ name: 'flat', size: count(x.shape) }]),
      ops.rename(x, { [name]: 'other' }),
      ops.lift(x, 'new'),
      ops.drop(ops.order(ops.lift(x, 'new'), ...draw.shuffled([...namesOf(x), 'new'])), 'new'),
    ];
  });
  agrees('split and merge', 20, (draw) => {
    const x = draw.tensor('any', draw.some(undefined, 1), { a: 6, b: 4 });
    const over = draw.some(namesOf(x), 1);
    const name = draw.one(namesOf(x));
    const size = sizesOf(x)[name];
    const factor = [3, 2, 1].find((n) => size % n === 0) as number;
    return [
      ops.merge(x, over, 'joint'),
      ops.split(x, name, { outer: factor, inner: -1 }),
      ops.merge(ops.split(x, name, { outer: -1, inner: factor }), ['inner', 'outer'], name),
    ];
  });
  agrees('expand to any order', 15, (draw) => {
    const x = draw.tensor(draw.one(['any', 'int', 'bool']));
    return ops.expand(
      x,
      draw.shuffled([...Object.keys(draw.sizes), 'new']).map((name) => ({ name, size: draw.sizes[name] ?? 2 })),
    );
  });
  agrees('slice and pad', 20, (draw) => {
    const x = draw.tensor(draw.one(['any', 'int', 'bool']), draw.some(undefined, 1));
    const over = draw.one(namesOf(x));
    const whole = sizesOf(x)[over];
    const start = draw.integer(0, whole - 1);
    return [
      ops.slice(x, over, start, draw.integer(1, whole - start)),
      ops.slice(x, over, start - whole, draw.integer(1, whole - start)),
      ops.pad(x, over, draw.integer(0, 2), draw.integer(0, 2)),
    ];
  });
  agrees('concat of parts in other orders', 20, (draw) => {
    const kind: Kind = draw.one(['any', 'int', 'bool']);
    const names = draw.some(undefined, 1);
    const over = draw.one(names);
    const parts = Array.from({ length: draw.integer(1, 3) }, () =>
      draw.tensor(kind, draw.shuffled(names), { [over]: draw.integer(1, 3) }),
    );
    return ops.concat(parts, over);
  });
});

describe('by index', () => {
  agrees('gather by an index of any dimensions', 30, (draw) => {
    const table = draw.tensor(draw.one(['any', 'int', 'bool']), draw.some(undefined, 1));
    const over = draw.one(namesOf(table));
    const names = draw.some(['m', 'n', over]);
    return ops.gather(table, over, draw.tensor({ below: sizesOf(table)[over] }, names, { m: 2, n: 3, [over]: 5 }));
  });
  agrees('scatterAdd, rows that meet', 30, (draw) => {
    const names = draw.some(['m', 'n']);
    const size = draw.integer(1, 3);
    const sizes = { m: 4, n: 3 };
    return ops.scatterAdd(
      draw.tensor('any', [...names, ...draw.some()], sizes),
      draw.tensor({ below: size }, names, sizes),
      'row',
      size,
    );
  });
  agrees('pick by an index in any order', 30, (draw) => {
    const x = draw.tensor(draw.one(['any', 'int']), draw.some(undefined, 1));
    const over = draw.one(namesOf(x));
    const index = draw.tensor({ below: sizesOf(x)[over] }, draw.shuffled(namesOf(x).filter((name) => name !== over)));
    return ops.pick(x, over, index);
  });
  agrees('logProbs', 10, (draw) => {
    const x = draw.tensor('any', draw.some(undefined, 1));
    const over = draw.one(namesOf(x));
    return ops.logProbs(
      x,
      over,
      draw.tensor(
        { below: sizesOf(x)[over] },
        namesOf(x).filter((name) => name !== over),
      ),
    );
  });
});

describe('rotate', () => {
  agrees('tables of any dimensions of the value, with and without others', 30, (draw) => {
    const lead = draw.some(['a', 'b'], 0);
    const heads = draw.some(['c', 'd'], 0);
    const sizes = { width: 2 * draw.integer(1, 4) };
    const x = draw.tensor('any', [...draw.shuffled([...lead, ...heads]), 'width'], sizes);
    const [cos, sin] = [0, 1].map(() => draw.tensor('any', [...lead, 'half'], { half: sizes.width / 2 })) as [
      Tensor,
      Tensor,
    ];
    return ops.rotate(x, cos, sin, 'width');
  });
});

describe('blocks and loops', () => {
  agrees('recompute gives the values of its function', 8, (draw) => {
    const [x, w] = [draw.tensor('any', ['a', 'b']), draw.tensor('any', ['b', 'c'])];
    const [y, same] = ops.recompute([x], (hole) => [ops.tanh(ops.dot(hole, w, 'b')), hole]) as [Tensor, Tensor];
    const [nested] = ops.recompute([y], (hole) =>
      ops.recompute([hole], (inner) => [ops.mul(inner, ops.sum(hole, 'a'))]),
    ) as [Tensor];
    return [y, same, nested];
  });
  agrees('loop: state, collected values, captured values', 8, (draw) => {
    const [x, w] = [draw.tensor('any', ['a', 'b']), draw.tensor('any', ['b'])];
    const heavy = ops.exp(w);
    const { state, collected } = ops.loop(4, { x, n: ops.constant(BigInt64Array.of(0n), {}) }, (turn, state) => {
      const next = ops.tanh(ops.add(ops.mul(state.x, heavy), ops.cast(turn, 'float32')));
      return {
        state: { x: next, n: ops.add(state.n, turn) },
        collect: { first: ops.sum(next, 'a'), turn, x: state.x },
        going: ops.less(turn, 99),
      };
    });
    return [state.x, state.n, collected.first, collected.turn, collected.x];
  });
  agrees('loop that ends early', 6, (draw) => {
    const end = draw.integer(0, 4);
    const x = draw.tensor('any', ['a']);
    const { state, collected } = ops.loop(4, { x }, (turn, state) => ({
      state: { x: ops.mul(state.x, 2) },
      collect: { x: state.x },
      going: ops.less(turn, end),
    }));
    return [state.x, collected.x];
  });
  agrees('loop whose results are its state in another order, one value twice, and values from outside', 6, (draw) => {
    const [x, y, outside] = [0, 1, 2].map(() => draw.tensor('any', ['a'])) as [Tensor, Tensor, Tensor];
    const { state, collected } = ops.loop(draw.integer(1, 4), { x, y, z: x, w: y }, (turn, state) => {
      const next = ops.mul(state.x, 1.5);
      return {
        state: { x: state.y, y: next, z: next, w: outside },
        collect: { next, again: next, outside, still: ops.stopGradient(state.z) },
        going: ops.less(turn, 9),
      };
    });
    return [...Object.values(state), ...Object.values(collected)];
  });
  agrees(
    'loop whose state grows: attention to what was written so far beside a part that was there before',
    6,
    (draw) => {
      const width = draw.integer(1, 3);
      const query = draw.tensor('any', ['row', 'width'], { row: 2, width });
      const before = draw.tensor('any', ['row', 'key', 'width'], { row: 2, key: 3, width });
      const { state, collected } = ops.loop(
        4,
        { query, keys: ops.empty({ row: 2, key: 4, width }, 'key') },
        (_, { query: q, keys }) => {
          const grown = ops.append(keys, 'key', ops.tanh(q));
          const parts = [before, grown];
          const shares = ops.softmax(
            ops.concat(
              parts.map((part) => ops.dot(q, part, 'width')),
              'key',
            ),
            'key',
          );
          const read = ops.add(
            ops.dot(ops.slice(shares, 'key', 0, 3), before, 'key'),
            ops.dot(ops.slice(shares, 'key', 3, 4), grown, 'key'),
          );
          return { state: { query: read, keys: grown }, collect: { read }, going: ops.less(0, 1) };
        },
      );
      return [state.query, collected.read];
    },
  );
  agrees('loop in a loop, with a block in it that reads from both', 4, (draw) => {
    const [x, w] = [draw.tensor('any', ['a']), draw.tensor('any', ['a'])];
    const { state } = ops.loop(2, { x }, (outer, state) => {
      const deeper = ops.loop(3, { y: state.x }, (inner, { y }) => {
        const [z] = ops.recompute([y], (hole) => [
          ops.tanh(ops.add(ops.mul(hole, w), ops.add(state.x, ops.cast(ops.add(outer, inner), 'float32')))),
        ]) as [Tensor];
        return { state: { y: z }, collect: {}, going: ops.less(inner, 99) };
      });
      return { state: { x: deeper.state.y }, collect: {}, going: ops.less(outer, 99) };
    });
    return state.x;
  });
});
