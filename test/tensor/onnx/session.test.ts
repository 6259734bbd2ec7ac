import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, describe, expect, it } from 'vitest';

import { node, scoped, type Data, type Place } from '../../../src/tensor/graph.js';
import { gradient } from '../../../src/tensor/gradient.js';
import { GRADIENT, graphOf, type Graph } from '../../../src/tensor/engine.js';
import * as ops from '../../../src/tensor/ops.js';
import { emit } from '../../../src/tensor/onnx/emit.js';
import { openOnnx, type OnnxEngine } from '../../../src/tensor/onnx/session.js';
import { layoutOf } from '../../../src/tensor/layout.js';

const scratch: string[] = [];
afterAll(() => Promise.all(scratch.map((dir) => rm(dir, { recursive: true }))));

let open: OnnxEngine | undefined;
/** Released after the test. */
function opened(workers = 1): OnnxEngine {
  open = openOnnx({ workers, threads: 1 });
  return open;
}
afterEach(async () => {
  await open?.release();
  open = undefined;
});

/** w · x + bias, summed. */
function inputs() {
  const [x, w, bias] = [
    ops.input('x', 'float32', { n: 2 }),
    ops.input('w', 'float32', { m: 3, n: 2 }),
    ops.input('bias', 'float32', { m: 3 }),
  ];
  return { w, bias, loss: ops.total(ops.add(ops.dot(w, x, 'n'), bias)) };
}

/** The sum with its gradients. */
function model() {
  const { w, bias, loss } = inputs();
  const [dw, db] = gradient(loss, [w, bias]);
  const program = graphOf('model', { loss, [`${GRADIENT}w`]: dw, [`${GRADIENT}bias`]: db });
  return {
    program,
    layout: layoutOf([
      { name: 'bias', sizes: [3] },
      { name: 'frozen', sizes: [2] },
      { name: 'w', sizes: [3, 2] },
    ]),
  };
}

function lookup() {
  const row = scoped('layer7', () =>
    scoped('embed', () =>
      ops.gather(ops.input('table', 'float32', { row: 4, n: 2 }), 'row', ops.input('ids', 'int64', { token: 3 })),
    ),
  );
  return graphOf('lookup', { row });
}

const plain = (outputs: Readonly<Record<string, Data>>): Record<string, number[]> =>
  Object.fromEntries(
    Object.entries(outputs).map(([name, data]) => [name, Array.from(data as ArrayLike<number | bigint>, Number)]),
  );

describe('layoutOf', () => {
  it('lays tensors out one behind the other', () => {
    expect(
      layoutOf([
        { name: 'a', sizes: [2, 3] },
        { name: 'b', sizes: [] },
        { name: 'c', sizes: [4] },
      ]),
    ).toEqual({
      entries: [
        { name: 'a', sizes: [2, 3], offset: 0, length: 6 },
        { name: 'b', sizes: [], offset: 6, length: 1 },
        { name: 'c', sizes: [4], offset: 7, length: 4 },
      ],
      length: 11,
    });
  });
});

describe('engine', () => {
  it('computes the same on every thread, with numbers too small to be normal as well', async () => {
    const engine = opened(3);
    const x = ops.input('x', 'float32', { n: 1 });
    const program = graphOf('square', { square: ops.mul(x, x) });
    await engine.open(program);
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => engine.run(program, { x: Float32Array.of(1e-20) })),
    );
    expect(new Set(answers.map(({ outputs }) => outputs['square']?.[0])).size).toBe(1);
  });

  it('takes inputs from the parameter set and gathers gradients in its layout', async () => {
    const { program, layout } = model();
    const engine = opened();
    await engine.open(program);
    const shared = new Float32Array(new SharedArrayBuffer(4 * layout.length));
    shared.set([10, 20, 30, 7, 7, 1, 2, 3, 4, 5, 6]);
    await engine.parameters('policy', layout, shared);
    const answer = await engine.run(program, { x: Float32Array.of(1, -1) });
    expect(plain(answer.outputs)).toEqual({ loss: [57] });
    expect(answer.sizes).toEqual({ loss: [] });
    expect([...(answer.gradient as Float32Array)]).toEqual([1, 1, 1, 0, 0, 1, -1, 1, -1, 1, -1]);
  });
  it('says which version of the first set it ran on', async () => {
    const { program, layout } = model();
    const engine = opened(2);
    await engine.open(program);
    const versions = async (): Promise<number[]> =>
      (await Promise.all([1, 2, 3].map(() => engine.run(program, { x: Float32Array.of(1, -1) })))).map(
        ({ version }) => version,
      );
    const values = new Float32Array(layout.length);
    await engine.parameters('policy', layout, values);
    expect(await versions()).toEqual([0, 0, 0]);
    await engine.parameters('policy', layout, values, 4);
    await engine.parameters('other', layout, values, 9);
    expect(await versions()).toEqual([4, 4, 4]);
  });
  it('keeps its own copy of a set, and several sets apart', async () => {
    const { program, layout } = model();
    const engine = opened();
    await engine.open(program);
    const values = new Float32Array(11);
    await engine.parameters('policy', layout, values.fill(1));
    await engine.parameters('reference', layout, values.fill(2));
    values.fill(99);
    const feeds = { x: Float32Array.of(1, 1) };
    expect((await engine.run(program, feeds)).outputs).toEqual({ loss: Float32Array.of(9) });
    expect((await engine.run(program, feeds, ['reference'])).outputs).toEqual({ loss: Float32Array.of(18) });
  });
  it('takes each input from the first set that has it, and gathers gradients as the first is laid out', async () => {
    const [x, w, b] = [
      ops.input('x', 'float32', { n: 2 }),
      ops.input('w', 'float32', { n: 2 }),
      ops.input('b', 'float32', { n: 2 }),
    ];
    const loss = ops.total(ops.mul(ops.add(w, b), x));
    const program = graphOf('two sets', { loss, [`${GRADIENT}b`]: gradient(loss, [b])[0] });
    const engine = opened();
    await engine.open(program);
    await engine.parameters(
      'base',
      layoutOf([
        { name: 'w', sizes: [2] },
        { name: 'b', sizes: [2] },
      ]),
      Float32Array.of(1, 2, 90, 90),
    );
    await engine.parameters(
      'small',
      layoutOf([
        { name: 'unused', sizes: [1] },
        { name: 'b', sizes: [2] },
      ]),
      Float32Array.of(7, 3, 4),
    );
    const answer = await engine.run(program, { x: Float32Array.of(10, 100) }, ['small', 'base']);
    expect([plain(answer.outputs), [...(answer.gradient as Float32Array)]]).toEqual([{ loss: [640] }, [0, 10, 100]]);
    await expect(engine.run(program, {}, ['small', 'base'])).rejects.toThrow(
      'two sets: expected a value for the input x; got neither a feed nor a parameter of the set small or base',
    );
  });
  it('prefers what is fed to the set', async () => {
    const { program, layout } = model();
    const engine = opened();
    await engine.open(program);
    await engine.parameters('policy', layout, new Float32Array(11));
    expect((await engine.run(program, { x: Float32Array.of(1, 1), bias: Float32Array.of(1, 2, 3) })).outputs).toEqual({
      loss: Float32Array.of(6),
    });
  });
  it('answers alike from two threads', async () => {
    const { program, layout } = model();
    const engine = opened(2);
    await engine.open(program);
    await engine.parameters(
      'policy',
      layout,
      Float32Array.from({ length: 11 }, (_, i) => Math.sin(i)),
    );
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => engine.run(program, { x: Float32Array.of(0.3, 0.7) })),
    );
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });
  it('opens a graph once, however often it is asked to', async () => {
    const engine = opened();
    await Promise.all([engine.open(lookup()), engine.open(lookup())]);
    await engine.open(lookup());
    const answer = await engine.run(lookup(), {
      table: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
      ids: BigInt64Array.of(3n, 0n, -1n),
    });
    expect(plain(answer.outputs)).toEqual({ row: [7, 8, 1, 2, 7, 8] });
  });
  it('refuses another graph of the same name, until the first is closed', async () => {
    const engine = opened();
    const [one, other] = [1, 2].map((n) => graphOf('same', { y: ops.mul(ops.input('x', 'float32', { n: 1 }), n) })) as [
      Graph,
      Graph,
    ];
    await engine.open(one);
    await expect(engine.open(other)).rejects.toThrow(
      'same: expected one graph of this name; got another while it is open',
    );
    await engine.close(one);
    await engine.open(other);
    expect((await engine.run(other, { x: Float32Array.of(3) })).outputs).toEqual({ y: Float32Array.of(6) });
  });
  it('emits a graph once, however often it is opened', async () => {
    const engine = opened();
    let emitted = 0;
    const { name, precision, outputs } = lookup();
    const graph: Graph = { name, precision, outputs };
    const counted = Object.defineProperty({ ...graph }, 'outputs', { get: () => (emitted++, outputs) });
    await Promise.all([engine.open(counted), engine.open(counted)]);
    const first = emitted;
    await engine.open(counted);
    expect(first).toBeGreaterThan(0);
    expect(emitted).toBe(first);
    // The same values by another object are the same graph.
    await engine.open(graph);
    await engine.close(graph);
    await engine.open(counted);
    expect(emitted).toBeGreaterThan(first);
  });
  it('refuses an operation that it lacks before anything is opened', async () => {
    const engine = opened();
    const odd = node({ kind: 'softmax', over: 'n', log: false }, [ops.input('x', 'bool', { n: 2 })], 'bool', [
      { name: 'n', size: 2 },
    ]);
    await expect(engine.open(graphOf('odd', { odd }))).rejects.toThrow(
      'graph "odd": expected an operation that the engine onnx (cpu) has; got softmax in bool',
    );
    await expect(engine.run({ name: 'odd' }, {})).rejects.toThrow('odd: expected an open graph');
  });
  it('gives fewer collected values of a loop that ended early', async () => {
    const last = ops.input('last', 'int64', {});
    const { collected } = ops.loop(5, {}, (turn) => ({
      state: {},
      collect: { turn, pair: ops.expand(turn, ops.dims({ pair: 2 })) },
      going: ops.less(turn, last),
    }));
    const program = graphOf('early', collected);
    const engine = opened();
    await engine.open(program);
    const run = async (n: bigint) => engine.run(program, { last: BigInt64Array.of(n) });
    expect(await run(9n)).toMatchObject({ sizes: { turn: [5], pair: [5, 2] } });
    const early = await run(1n);
    expect(early.sizes).toEqual({ turn: [2], pair: [2, 2] });
    expect(plain(early.outputs)).toEqual({ turn: [0, 1], pair: [0, 0, 1, 1] });
  });
});

describe('tensors that are only read', () => {
  /** A file of `values` behind 5 bytes that mean something else, so that they lie at an odd place. */
  async function file(...values: number[]): Promise<Place> {
    const dir = await realpath(await mkdtemp(join(tmpdir(), 'segr1-session-')));
    scratch.push(dir);
    await writeFile(
      join(dir, 'weights.bin'),
      Buffer.concat([Buffer.alloc(5, 7), new Uint8Array(Float32Array.from(values).buffer)]),
    );
    return { file: join(dir, 'weights.bin'), offset: 5 };
  }
  const [w, bias] = [
    [1, 2, 3, 4, 5, 6],
    [10, 20, 30],
  ];
  const x = Float32Array.of(1, -1);

  it('are computed with where they lie, or handed over one by one, on every thread', async () => {
    const engine = opened(2);
    await engine.places('policy', new Map([['w', await file(...w)]]));
    await engine.tensor('policy', 'bias', Float32Array.from(bias));
    const forward = graphOf('forward', { loss: inputs().loss });
    await engine.open(forward);
    const answers = await Promise.all(Array.from({ length: 6 }, () => engine.run(forward, { x })));
    for (const { outputs } of answers) expect(plain(outputs)).toEqual({ loss: [57] });
  });

  it('stand behind what an earlier set has, and take the place of what the set had', async () => {
    const engine = opened();
    await engine.places(
      'policy',
      new Map([
        ['w', await file(...w)],
        ['bias', await file(0, 0, 0)],
      ]),
    );
    await engine.tensor('policy', 'bias', Float32Array.from(bias));
    await engine.parameters('trained', layoutOf([{ name: 'w', sizes: [3, 2] }]), new Float32Array(6).fill(2));
    const forward = graphOf('forward', { loss: inputs().loss });
    await engine.open(forward, ['trained', 'policy']);
    expect(plain((await engine.run(forward, { x }, ['trained', 'policy'])).outputs)).toEqual({ loss: [60] });
  });

  it('are refused where a run would take them from elsewhere than the open graph has them', async () => {
    const engine = opened();
    await engine.places(
      'policy',
      new Map([
        ['w', await file(...w)],
        ['bias', await file(...bias)],
      ]),
    );
    await expect(engine.open(graphOf('forward', { loss: inputs().loss }))).rejects.toThrow(
      /^forward: expected weights in files of one folder; got .* and /,
    );
    const place = await file(...w);
    await engine.places(
      'policy',
      new Map([
        ['w', place],
        ['bias', place],
      ]),
    );
    const forward = graphOf('again', { loss: inputs().loss });
    await engine.open(forward);
    await expect(engine.run(forward, { x, w: Float32Array.from(w) })).rejects.toThrow(
      'again: expected the input w from where it was when the graph was opened; got another source',
    );
  });
});

describe('what goes wrong in a run', () => {
  const table = new Float32Array(8);

  it('names the graph, and the place in the model', async () => {
    const engine = opened();
    await engine.open(lookup());
    await expect(engine.run(lookup(), { table, ids: BigInt64Array.of(0n, 4n, 1n) })).rejects.toThrow(
      /^lookup: .*layer7\/embed\/gather#\d+.*idx=4/s,
    );
    expect((await engine.run(lookup(), { table, ids: BigInt64Array.of(0n, 3n, 1n) })).sizes).toEqual({ row: [3, 2] });
  });
  it.each([
    [
      'a missing input',
      { table },
      'lookup: expected a value for the input ids; got neither a feed nor a parameter of the set policy',
    ],
    [
      'too few elements',
      { table: new Float32Array(7), ids: new BigInt64Array(3) },
      'lookup: expected 8 elements of float32 for the input table; got 7 of float32',
    ],
    [
      'another type',
      { table, ids: new Float32Array(3) },
      'lookup: expected 3 elements of int64 for the input ids; got 3 of float32',
    ],
  ])('names %s', async (_, feeds, message) => {
    const engine = opened();
    await engine.open(lookup());
    await expect(engine.run(lookup(), feeds)).rejects.toThrow(message);
  });
  it('names a gradient without a parameter', async () => {
    const { program } = model();
    const engine = opened();
    await engine.open(program);
    await engine.parameters('policy', layoutOf([{ name: 'w', sizes: [3, 2] }]), new Float32Array(6));
    await expect(engine.run(program, { x: new Float32Array(2), bias: new Float32Array(3) })).rejects.toThrow(
      'model: expected a parameter of the set policy for the output gradient:bias; got none of that name',
    );
  });
  it('names a graph that was never opened', async () => {
    const engine = opened();
    await expect(engine.run(lookup(), {})).rejects.toThrow(
      'lookup: expected an open graph; got one that was never opened',
    );
  });
  it('names a graph that the runtime refuses', async () => {
    const engine = opened();
    await expect(
      engine.openProgram({ ...emit(lookup(), 'cpu'), name: 'torn', bytes: Uint8Array.of(1, 2, 3) }),
    ).rejects.toThrow(/^torn: /);
  });
});

describe('release', () => {
  it('lets a run under way finish, refuses what waits, and is the same twice', async () => {
    const engine = opened();
    await engine.open(lookup());
    const feeds = { table: new Float32Array(8), ids: new BigInt64Array(3) };
    const [running, waiting] = [engine.run(lookup(), feeds), engine.run(lookup(), feeds)];
    const refused = expect(waiting).rejects.toThrow(
      "lookup: expected a run before the engine's release; got one after",
    );
    const released = engine.release();
    expect(engine.release()).toBe(released);
    expect((await running).sizes).toEqual({ row: [3, 2] });
    await refused;
    await released;
    await expect(engine.run(lookup(), feeds)).rejects.toThrow('released');
  });
  it('in the middle of a long run leaves the process whole', async () => {
    // Rejects on any exit code but 0.
    const { stdout } = await promisify(execFile)(process.execPath, [
      fileURLToPath(new URL('./release-midway.mjs', import.meta.url)),
    ]);
    expect(stdout.trim()).toBe('released under way true');
  });
});
