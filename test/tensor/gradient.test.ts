import * as ort from 'onnxruntime-node';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';

import { agree, drawn, furthest, type Draw } from './cases.js';
import { interpret, type Fed } from './interpret.js';
import { dependencies, reachable, scoped, type Data, type Tensor } from '../../src/tensor/graph.js';
import { gradient } from '../../src/tensor/gradient.js';
import { graphOf, inputsOf as fedTo } from '../../src/tensor/engine.js';
import { emit } from '../../src/tensor/onnx/emit.js';
import * as ops from '../../src/tensor/ops.js';
import { openEngine } from '../../src/tensor/engines.js';

const engine = openEngine({ workers: 1, threads: 1 });
afterAll(() => engine.release());

type Feeds = Record<string, Data>;

/** Float32 inputs that a value was computed from. */
const inputsOf = (t: Tensor): Tensor[] =>
  reachable([t], dependencies).flatMap((n) =>
    n.op.kind === 'input' && n.outputs[0]?.dtype === 'float32' ? [n.outputs[0]] : [],
  );

const nameOf = (t: Tensor): string => (t.node.op.kind === 'input' ? t.node.op.name : '');

/** A scalar in which every element of `x` counts differently. */
const weighed = (draw: Draw, x: Tensor): Tensor =>
  ops.total(
    ops.mul(
      x,
      draw.tensor(
        'any',
        x.shape.map(({ name }) => name),
        Object.fromEntries(x.shape.map(({ name, size }) => [name, size])),
      ),
    ),
  );

/** (f(x + h) - f(x - h)) / 2h, element by element. */
function slopes(loss: Tensor, wrt: Tensor, feeds: Feeds): Float64Array {
  const h = 1e-5;
  const name = nameOf(wrt);
  const start = Float64Array.from(feeds[name] as Float32Array);
  return start.map((_, i) => {
    const at = (by: number): number =>
      interpret([loss], { ...feeds, [name]: start.with(i, start[i] + by) })[0]?.data[0];
    return (at(h) - at(-h)) / (2 * h);
  });
}

async function differentiates(losses: readonly Tensor[], feeds: Feeds): Promise<void> {
  const pairs = losses.flatMap((loss) => {
    const wrt = inputsOf(loss);
    return gradient(loss, wrt).map((slope, i) => ({ loss, wrt: wrt[i], slope }));
  });
  const values = await agree(
    engine,
    pairs.map(({ slope }) => slope),
    feeds,
    1e-4,
  );
  for (const [i, { loss, wrt, slope }] of pairs.entries()) {
    expect(slope.shape).toEqual(wrt.shape);
    const expected = slopes(loss, wrt, feeds);
    const got = values[i]?.data;
    const apart = furthest(got, expected, 1e-6);
    if (apart !== undefined)
      throw new Error(
        `element ${apart} of the gradient for ${nameOf(wrt)}: expected ${expected[apart]}; got ${got[apart]} from ${reachable(
          [loss],
          dependencies,
        )
          .map((n) => n.op.kind)
          .join(' ')}`,
      );
  }
}

/**
 * A test that draws values, weighs each to a scalar, and compares its gradients with finite differences and the
 * runtime's.
 */
function slopesOf(purpose: string, runs: number, make: (draw: Draw) => Tensor | readonly Tensor[]): void {
  it(purpose, async () => {
    const { cases, feeds } = drawn(purpose, runs, (draw) => [make(draw)].flat().map((x) => weighed(draw, x)));
    await differentiates(cases.flat(), feeds);
  });
}

const two = ['a', 'b'];
const three = ['a', 'b', 'c'];

/** At most two dimensions: finite differences take two runs an element. */
const small = (draw: Draw): string[] => draw.some(three, 0, 2);

describe('gradient of one operation', () => {
  slopesOf('functions of one value', 3, (draw) => [
    ...[ops.neg, ops.exp, ops.sigmoid, ops.tanh, ops.erf, ops.abs, ops.silu, ops.gelu, ops.square].map((f) =>
      f(draw.tensor('any', small(draw))),
    ),
    ...[ops.log, ops.sqrt, ops.reciprocal].map((f) => f(draw.tensor('positive', small(draw)))),
    ops.clip(draw.tensor('any', two), -0.7, 0.9),
    ops.cast(ops.cast(draw.tensor('any', two), 'float32'), 'float32'),
  ]);
  slopesOf('functions of two values that broadcast', 12, (draw) => [
    ...[ops.add, ops.sub, ops.mul, ops.minimum, ops.maximum].map((f) =>
      f(draw.tensor('any', small(draw)), draw.tensor('any', small(draw))),
    ),
    ops.div(draw.tensor('any', small(draw)), draw.tensor('positive', small(draw))),
  ]);
  slopesOf('operands that were expanded', 8, (draw) => {
    const whole = draw.shuffled(three).map((name) => ({ name, size: draw.sizes[name] }));
    return ops.mul(draw.tensor('any', small(draw)), ops.expand(draw.tensor('any', small(draw)), whole));
  });
  slopesOf('where', 10, (draw) =>
    ops.where(draw.tensor('bool', small(draw)), draw.tensor('any', small(draw)), draw.tensor('any', small(draw))),
  );
  slopesOf('sum, mean and max', 8, (draw) =>
    [ops.sum, ops.mean, ops.max].map((f) => f(draw.tensor('any', two), ...draw.some(two))),
  );
  slopesOf('cumsum', 5, (draw) => ops.cumsum(draw.tensor('any', two), draw.one(two)));
  slopesOf('softmax and its logarithm', 5, (draw) =>
    [ops.softmax, ops.logSoftmax].map((f) => f(draw.tensor('any', two), draw.one(two))),
  );
  slopesOf('dot', 12, (draw) =>
    ops.dot(
      draw.tensor('any', draw.shuffled(['a', 'b', 'c'])),
      draw.tensor('any', draw.shuffled(['a', 'b', 'd'])),
      draw.one([['a'], ['b', 'a'], []]),
      0.5,
    ),
  );
  slopesOf('layout', 6, (draw) => {
    const x = draw.tensor('any', three, { a: 4 });
    return [
      ops.order(x, ...draw.shuffled(three)),
      ops.merge(x, draw.some(three, 1), 'joint'),
      ops.split(x, 'a', { outer: 2, inner: -1 }),
      ops.expand(
        draw.tensor('any', small(draw)),
        draw.shuffled(three).map((name) => ({ name, size: draw.sizes[name] })),
      ),
    ];
  });
  slopesOf('slice, pad and concat', 6, (draw) => {
    const x = draw.tensor('any', two, { a: 4 });
    const start = draw.integer(0, 3);
    return [
      ops.slice(x, 'a', start, draw.integer(1, 4 - start)),
      ops.pad(x, 'a', draw.integer(0, 2), 1),
      ops.concat([x, draw.tensor('any', ['b', 'a'], { a: 2 }), x], 'a'),
    ];
  });
  slopesOf('gather, scatterAdd and pick, rows that meet', 10, (draw) => {
    const index = draw.some(['m', 'n', 'a']);
    const sizes = { m: 2, n: 3, a: 3 };
    return [
      ops.gather(
        draw.tensor('any', draw.shuffled(two), sizes),
        'a',
        draw.tensor({ below: 3 }, index, { ...sizes, a: 4 }),
      ),
      ops.scatterAdd(draw.tensor('any', [...index, 'b'], sizes), draw.tensor({ below: 2 }, index, sizes), 'row', 2),
      ops.pick(draw.tensor('any', draw.shuffled(three), sizes), 'a', draw.tensor({ below: 3 }, ['c', 'b'])),
    ];
  });
  slopesOf('rmsNorm', 4, (draw) => ops.rmsNorm(draw.tensor('any', ['a', 'b']), draw.tensor('any', ['b']), 'b', 1e-3));
  slopesOf('rotate, its tables too', 6, (draw) => {
    const lead = draw.some(['a', 'c'], 0);
    const tables = [0, 1].map(() => draw.tensor('any', [...lead, 'half'], { half: 2 })) as [Tensor, Tensor];
    return ops.rotate(draw.tensor('any', [...draw.shuffled(['a', 'c']), 'width'], { width: 4 }), ...tables, 'width');
  });
});

describe('gradient of compositions', () => {
  slopesOf('attention', 2, (draw) => {
    const [q, k, v] = ['query', 'token', 'token'].map((token) =>
      draw.tensor('any', ['head', token, 'width'], { head: 2, query: 2, token: 3, width: 2 }),
    ) as [Tensor, Tensor, Tensor];
    const seen = draw.tensor('bool', ['query', 'token'], { query: 2, token: 3 });
    return ops.dot(ops.softmax(ops.where(seen, ops.dot(q, k, 'width', 0.7), -1e4), 'token'), v, 'token');
  });
  slopesOf('log-probabilities under a linear head', 3, (draw) => {
    const sizes = { token: 3, width: 2, vocab: 4 };
    const logits = ops.dot(
      draw.tensor('any', ['token', 'width'], sizes),
      draw.tensor('any', ['vocab', 'width'], sizes),
      'width',
    );
    return ops.logProbs(logits, 'vocab', draw.tensor({ below: 4 }, ['token'], sizes));
  });
  slopesOf('a chain of norms, rotations and gates', 2, (draw) => {
    const sizes = { token: 2, width: 4, half: 2 };
    const [x, w, m] = [
      draw.tensor('any', ['token', 'width'], sizes),
      draw.tensor('any', ['width'], sizes),
      draw.tensor('any', ['out', 'width'], { ...sizes, out: 4 }),
    ];
    const [cos, sin] = [draw.tensor('any', ['token', 'half'], sizes), draw.tensor('any', ['token', 'half'], sizes)];
    const layer = (h: Tensor): Tensor =>
      ops.add(
        h,
        ops.rename(ops.silu(ops.dot(ops.rotate(ops.rmsNorm(h, w, 'width', 1e-3), cos, sin, 'width'), m, 'width')), {
          out: 'width',
        }),
      );
    return layer(layer(x));
  });
  slopesOf('a clipped ratio of probabilities', 4, (draw) => {
    const [now, before, advantage] = [draw.tensor('any', ['a']), draw.tensor('any', ['a']), draw.tensor('any', ['a'])];
    const ratio = ops.exp(ops.mul(ops.sub(now, before), 0.2));
    return ops.minimum(ops.mul(ratio, advantage), ops.mul(ops.clip(ratio, 0.8, 1.2), advantage));
  });
  slopesOf('a gradient of a gradient', 2, (draw) => {
    const x = draw.tensor('any', ['a', 'b'], { a: 2, b: 2 });
    return gradient(ops.total(ops.mul(ops.softmax(x, 'a'), ops.exp(x))), [x]);
  });
});

/** Values of gradients without a runtime. */
const valuesOf = (tensors: readonly Tensor[], feeds: Fed): number[][] =>
  interpret(tensors, feeds).map(({ data }) => [...data]);

describe('gradient where it is a matter of choice', () => {
  const [a, b] = [ops.input('a', 'float32', { n: 3 }), ops.input('b', 'float32', { n: 3 })];
  const feeds = { a: [1, 2, 3], b: [2, 2, 2] };

  it('is shared by both sides of a tie', () => {
    expect(valuesOf(gradient(ops.total(ops.maximum(a, b)), [a, b]), feeds)).toEqual([
      [0, 0.5, 1],
      [1, 0.5, 0],
    ]);
    expect(valuesOf(gradient(ops.total(ops.minimum(a, b)), [a, b]), feeds)).toEqual([
      [1, 0.5, 0],
      [0, 0.5, 1],
    ]);
  });
  it('is shared by the largest elements', () => {
    expect(valuesOf(gradient(ops.max(b, 'n'), [b]), feeds)).toEqual([[1 / 3, 1 / 3, 1 / 3]]);
  });
  it('of an absolute value at zero is zero', () => {
    expect(valuesOf(gradient(ops.total(ops.abs(ops.sub(a, 2))), [a]), feeds)).toEqual([[-1, 0, 1]]);
  });
  it('does not pass stopGradient', () => {
    expect(valuesOf(gradient(ops.total(ops.mul(a, ops.stopGradient(a))), [a]), feeds)).toEqual([[1, 2, 3]]);
  });
  it('does not pass comparisons, choices and whole numbers', () => {
    const flags = ops.cast(ops.less(a, b), 'float32');
    const whole = ops.cast(ops.cast(a, 'int64'), 'float32');
    const best = ops.cast(ops.argmax(a, 'n'), 'float32');
    expect(valuesOf(gradient(ops.total(ops.add(ops.add(flags, whole), best)), [a]), feeds)).toEqual([[0, 0, 0]]);
  });
  it('is zero for what has no part in the loss', async () => {
    const { feeds: fed, cases } = drawn('unrelated', 1, (draw) => ({
      x: draw.tensor('any', two),
      y: draw.tensor('any', three),
    }));
    const { x, y } = cases[0];
    const slope = gradient(ops.total(x), [y])[0];
    expect(slope.shape).toEqual(y.shape);
    const [value] = await agree(engine, [slope, ops.total(y)], fed);
    expect([...new Set(value?.data)]).toEqual([0]);
  });
  it('of a loss for itself is one', () => {
    const loss = ops.total(a);
    expect(valuesOf(gradient(loss, [loss]), feeds)).toEqual([[1]]);
  });
  it('sums what reaches a weight as soon as nothing more can, whatever the order in which weights are asked for', () => {
    const weights = [0, 1, 2, 3].map((i) => ops.input(`w${i}`, 'float32', { a: 3 }));
    const pass = (x: Tensor): Tensor => weights.reduce((h, w) => ops.tanh(ops.mul(h, w)), x);
    const slopes = gradient(ops.total(pass(ops.square(pass(ops.input('x', 'float32', { a: 3 }))))), weights);
    // Of what was read last the gradient is known first, before anything is traced that only the next ones need.
    for (const [i, slope] of slopes.slice(1).entries()) {
      const known = new Set(reachable(slopes.slice(i + 1), dependencies));
      const later = reachable([slopes[i]], dependencies).filter((n) => !known.has(n) && n.op.kind !== 'input');
      expect(later.length).toBeGreaterThan(3);
      // All but the other half of the same product's adjoint, in each pass.
      expect(later.filter(({ id }) => id < slope.node.id).length).toBeLessThanOrEqual(2);
    }
  });

  it('counts what reaches a value by every way, also through another that is asked for', () => {
    const square = ops.square(a);
    expect(valuesOf(gradient(ops.total(ops.mul(square, a)), [a, square]), feeds)).toEqual([
      [3, 12, 27],
      [1, 2, 3],
    ]);
  });
  it('refuses a loss that is not a float32 scalar', () => {
    expect(() => gradient(a, [a])).toThrow('gradient: expected a float32 scalar; got [n 3] float32');
    expect(() => gradient(ops.argmax(a, 'n'), [a])).toThrow('gradient: expected a float32 scalar; got [] int64');
  });
  it('refuses the way through a loop, and names it', () => {
    const out = scoped('policy', () =>
      ops.loop(2, { x: a }, (turn, { x }) => ({ state: { x: ops.mul(x, 2) }, collect: {}, going: ops.less(turn, 9) })),
    );
    expect(() => gradient(ops.total(out.state.x), [a])).toThrow(
      'gradient of policy/loop: expected an operation with a gradient; got [n 3] float32',
    );
    expect(valuesOf(gradient(ops.total(out.state.x), [b]), feeds)).toEqual([[0, 0, 0]]);
  });
});

describe('inChunks', () => {
  const layer =
    (w: Tensor, bias: Tensor) =>
    (x: Tensor, index: Tensor): Record<'score' | 'spread', Tensor> => {
      const logs = ops.logSoftmax(ops.add(ops.dot(x, w, 'a'), bias), 'to');
      return { score: ops.pick(logs, 'to', index), spread: ops.sum(ops.mul(ops.exp(logs), logs), 'to') };
    };

  it.each([1, 2, 3, 4, 5])(
    'of %i gives the values and gradients of its function, of weights and of what is cut up',
    async (size) => {
      const make =
        (most: number) =>
        (draw: Draw): Tensor => {
          const [x, w, bias] = [
            draw.tensor('any', ['row', 'a'], { row: 5 }),
            draw.tensor('any', ['a', 'to'], { to: 3 }),
            draw.tensor('any', ['to'], { to: 3 }),
          ];
          const { score, spread } = ops.inChunks(
            'row',
            most,
            [ops.tanh(x), draw.tensor({ below: 3 }, ['row'], { row: 5 })] as const,
            layer(ops.exp(w), bias),
          );
          return ops.add(weighed(draw, score), weighed(draw, ops.mul(spread, ops.sum(w))));
        };
      const [whole, cut] = [drawn('chunks', 3, make(5)), drawn('chunks', 3, make(size))];
      await differentiates(cut.cases, cut.feeds);
      for (const [i, loss] of whole.cases.entries()) {
        const [expected, got] = [[loss, whole.feeds] as const, [cut.cases[i], cut.feeds] as const].map(
          ([each, feeds]) => interpret([each, ...gradient(each, inputsOf(each))], feeds as Fed),
        );
        for (const [k, { data }] of expected.entries()) expect(furthest(got?.[k]?.data, data, 1e-12)).toBeUndefined();
      }
    },
  );

  it.each([1, 2, 3, 4])('of %i adds up what lacks the dimension', async (size) => {
    const { cases, feeds } = drawn('chunks that are added up', 5, (draw) => {
      const [x, w] = [draw.tensor('any', draw.shuffled(['row', 'a', 'b']), { row: 5 }), draw.tensor('any', ['a', 'b'])];
      const f = (part: Tensor): Record<'all' | 'rows', Tensor> => ({
        all: ops.sum(ops.mul(part, w), 'row'),
        rows: ops.sum(part, 'b'),
      });
      const names = ['a', 'b'].map((name) => ({ name, size: draw.sizes[name] }));
      const [cut, whole] = [ops.inChunks('row', size, [x] as const, f, { all: names }), f(x)];
      return [ops.sub(cut.all, whole.all), ops.sub(cut.rows, whole.rows)];
    });
    for (const { data } of await agree(engine, cases.flat(), feeds))
      expect(
        furthest(
          data,
          data.map(() => 0),
          1e-12,
        ),
      ).toBeUndefined();
  });

  it('within a block that is computed again, a weight used on both sides', async () => {
    const { cases, feeds } = drawn('chunks in blocks', 3, (draw) => {
      const [x, w] = [draw.tensor('any', ['row', 'a'], { row: 5 }), draw.tensor('any', ['a'])];
      const [y] = ops.recompute([ops.mul(x, w)], (h) => [
        ops.inChunks('row', 2, [h] as const, (part) => ({
          y: ops.recompute([part], (p) => [ops.tanh(ops.mul(p, w))])[0],
        })).y,
      ]) as [Tensor];
      return weighed(draw, y);
    });
    await differentiates(cases, feeds);
  });

  it('is its function where one chunk holds all', () => {
    const x = ops.input('x', 'float32', { row: 4 });
    const { y } = ops.inChunks('row', 4, [x] as const, (part) => ({ y: ops.tanh(part) }));
    expect([y.node.op.kind, y.node.inputs[0]]).toEqual(['unary', x]);
    expect(() => ops.inChunks('column', 4, [x] as const, (part) => ({ y: part }))).toThrow(
      'inChunks: expected a dimension called column, and chunks of at least 1; got [row 4] float32',
    );
  });
});

describe('withGradient', () => {
  const cubed = (draw: Draw): Tensor => {
    const [x, w] = [draw.tensor('any', two), draw.tensor('any', ['a'])];
    const [y] = ops.withGradient(
      [ops.tanh(x), ops.exp(w)],
      (a, b) => [ops.mul(ops.square(a), b), ops.square(a)],
      ([a, b], [, squared], [dy]) => [
        ops.mul(dy as Tensor, ops.mul(ops.mul(a, 2), b)),
        ops.sum(ops.mul(dy as Tensor, squared), 'b'),
      ],
    );
    return y;
  };
  slopesOf('with the right rule has the right gradient', 5, cubed);
  slopesOf('in a block that is computed again', 5, (draw) => {
    const x = draw.tensor('any', two);
    const rule = (a: Tensor): Tensor =>
      ops.withGradient(
        [a],
        (own) => [ops.square(own)],
        ([own], _, [dy]) => [ops.mul(dy as Tensor, ops.mul(own, 2))],
      )[0];
    return ops.recompute([ops.exp(x)], (h) => [rule(ops.add(rule(h), x))])[0];
  });

  it('asks no operation inside, and gives nothing to inputs that its rule leaves out', () => {
    const [x, y] = [ops.input('x', 'float32', { a: 1 }), ops.input('y', 'float32', { a: 1 })];
    const [out] = ops.withGradient(
      [x, y],
      (p, q) => [ops.mul(p, q)],
      (_, __, [dy]) => [ops.mul(dy as Tensor, 7)],
    );
    const values = interpret(gradient(ops.total(out), [x, y]), { x: [2], y: [3] });
    expect(values.map(({ data }) => [...data])).toEqual([[7], [0]]);
  });
});

type Layer = (x: Tensor) => Tensor;

describe('recompute', () => {
  const once =
    (layer: Layer): Layer =>
    (x) =>
      ops.recompute([x], (hole) => [layer(hole)])[0];

  /**
   * Losses of one network, with its layers as they are and wrapped; gradients must agree with each other and finite
   * differences.
   */
  function same(purpose: string, network: (draw: Draw, wrap: (layer: Layer) => Layer) => Tensor): void {
    it(purpose, async () => {
      // The same purpose draws the same inputs.
      const [plain, wrapped] = [(layer: Layer) => layer, once].map((wrap) =>
        drawn(purpose, 3, (draw) => weighed(draw, network(draw, wrap))),
      ) as [ReturnType<typeof drawn<Tensor>>, ReturnType<typeof drawn<Tensor>>];
      await differentiates(wrapped.cases, wrapped.feeds);
      for (const [i, loss] of plain.cases.entries()) {
        const other = wrapped.cases[i];
        const expected = interpret(gradient(loss, inputsOf(loss)), plain.feeds);
        const got = interpret(gradient(other, inputsOf(other)), wrapped.feeds);
        expect(got.length).toBe(expected.length);
        for (const [k, { data }] of expected.entries()) expect(furthest(got[k]?.data, data, 1e-12)).toBeUndefined();
      }
    });
  }

  same('gives the same gradients through a chain of blocks', (draw, wrap) => {
    const weights = [0, 1, 2].map(() => draw.tensor('any', ['a', 'to'], { a: 3, to: 3 }));
    return weights.reduce(
      (x, w) => wrap((h) => ops.tanh(ops.rename(ops.dot(h, w, 'a'), { to: 'a' })))(x),
      draw.tensor('any', ['b', 'a'], { a: 3, b: 2 }),
    );
  });
  same('inside another block, a weight used in both', (draw, wrap) => {
    const [x, w] = [draw.tensor('any', two), draw.tensor('any', ['a'])];
    const inner = wrap((h) => ops.sigmoid(ops.mul(h, w)));
    const outer = wrap((h) => ops.mul(inner(ops.exp(h)), ops.add(w, inner(h))));
    return outer(outer(x));
  });
  same('where a captured value was computed from another that is captured, and from the input', (draw, wrap) => {
    const [x, w] = [draw.tensor('any', ['a']), draw.tensor('any', ['a'])];
    const [v, u] = [ops.exp(w), ops.tanh(x)];
    return wrap((h) => ops.add(ops.mul(ops.mul(h, w), ops.mul(v, u)), ops.square(x)))(x);
  });
  same('where later blocks read what earlier ones gave', (draw, wrap) => {
    const x = draw.tensor('any', ['a']);
    const first = wrap((h) => ops.tanh(h))(x);
    const second = wrap((h) => ops.mul(h, ops.exp(first)))(first);
    return wrap((h) => ops.add(ops.mul(h, first), ops.sigmoid(second)))(second);
  });
  same('where the gradient is of the block itself, and of its softmax', (draw, wrap) => {
    const [x, w] = [draw.tensor('any', ['a']), draw.tensor('any', ['a', 'b'])];
    return ops.logSoftmax(wrap((h) => ops.dot(h, w, 'a'))(x), 'b');
  });

  it('passes whole numbers and flags, and takes some results unused', async () => {
    const { cases, feeds } = drawn('mixed', 4, (draw) => {
      const [table, rows, seen] = [
        draw.tensor('any', ['row', 'a'], { row: 3 }),
        draw.tensor({ below: 3 }, ['b']),
        draw.tensor('bool', ['b']),
      ];
      const [y, index] = ops.recompute([rows, seen, table], (i, flag, t) => [
        ops.where(flag, ops.exp(ops.gather(t, 'row', i)), 0),
        i,
        ops.square(t),
      ]) as [Tensor, Tensor];
      return weighed(draw, ops.mul(y, ops.cast(index, 'float32')));
    });
    await differentiates(cases, feeds);
  });

  it('traces forty blocks that read each other, of which 2^40 would never end', () => {
    const x = ops.input('x', 'float32', { a: 2 });
    const all = [x];
    for (let i = 0; i < 40; i++)
      all.push(
        ops.recompute([all.at(-1) as Tensor], (h) => [all.reduce((sum, other) => ops.add(sum, other), ops.tanh(h))])[0],
      );
    const graph = graphOf('forty', { slope: gradient(ops.total(all.at(-1) as Tensor), [x])[0] });
    expect(fedTo(graph).map(({ name }) => name)).toEqual(['x']);
  });

  /** How often the runtime runs an operation, after all that it optimises away. */
  async function kept(wrap: (layer: Layer) => Layer): Promise<{ emitted: number; kept: number }> {
    const x = ops.input('x', 'float32', { token: 4, width: 8 });
    const weights = [0, 1, 2].map((i) => ops.input(`w${i}`, 'float32', { width: 8, out: 8 }));
    // The runtime merges equal operations of ONNX's own, but not products: those stand last.
    const layers = weights.map((w, i) =>
      wrap((h) => scoped(`layer${i}`, () => ops.rename(ops.dot(ops.tanh(h), w, 'width'), { out: 'width' }))),
    );
    const loss = ops.total(ops.square(layers.reduce((h, layer) => layer(h), x)));
    const graph = graphOf('chain', {
      loss,
      ...Object.fromEntries(gradient(loss, weights).map((slope, i) => [`gradient:w${i}`, slope])),
    });
    const { bytes } = emit(graph, 'cpu');
    const folder = await mkdtemp(join(tmpdir(), 'recompute-'));
    try {
      const optimised = join(folder, 'optimised.onnx');
      const session = await ort.InferenceSession.create(bytes, {
        graphOptimizationLevel: 'all',
        optimizedModelFilePath: optimised,
        logSeverityLevel: 4,
      });
      await session.release();
      // Operation types stand in the file as they are.
      const times = (file: Uint8Array): number => Buffer.from(file).toString('latin1').split('\x22\x04Tanh').length - 1;
      return { emitted: times(bytes), kept: times(await readFile(optimised)) };
    } finally {
      await rm(folder, { recursive: true });
    }
  }

  it('halves what a deep chain needs, and more', async () => {
    const bench = fileURLToPath(new URL('../../bench/recompute.mjs', import.meta.url));
    const needed = async (way: string): Promise<number> => {
      const { stdout } = await promisify(execFile)(process.execPath, [bench, way]);
      const [, peak, before] = /peak (\d+) MB \((\d+) MB before/.exec(stdout) ?? [];
      return Number(peak) - Number(before);
    };
    const [kept, recomputed] = [await needed('kept'), await needed('recomputed')];
    expect(recomputed).toBeLessThan(kept / 2);
  });
  it('emits its operations twice, and the runtime keeps both', async () => {
    expect(await kept((layer) => layer)).toEqual({ emitted: 3, kept: 3 });
    expect(await kept(once)).toEqual({ emitted: 6, kept: 6 });
  });
});
