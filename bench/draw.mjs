/**
 * A token drawn from each row of logits over a released vocabulary: `node bench/draw.mjs [VOCAB]`.
 *
 * Softmax and draw in one graph, one thread: as it is, and beside it by one running sum over the vocabulary, as it was
 * in 0.2.0, whose last step
 * takes what rounding leaves of the whole (`missing`: the largest uniform less the running sum's end). Milliseconds;
 * prints one JSON line.
 */
import { availableParallelism } from 'node:os';

import * as ort from 'onnxruntime-node';

import { draw } from '../dist/models/vlm/sample.js';
import { draws } from '../dist/random.js';
import { graphOf } from '../dist/tensor/engine.js';
import { emit } from '../dist/tensor/onnx/emit.js';
import {
  argmax,
  cast,
  cumsum,
  div,
  drop,
  exp,
  greater,
  input,
  iota,
  logSoftmax,
  max,
  mul,
  pick,
  slice,
  sub,
  where,
} from '../dist/tensor/ops.js';
import { spread, timed } from './made.mjs';

const REPEATS = 7;
const vocab = Number(process.argv[2] ?? 151_936);

function byOneSum(logits, uniform, temperature) {
  const logProbs = logSoftmax(div(logits, temperature), 'vocab');
  const shares = exp(logProbs);
  const running = cumsum(shares, 'vocab');
  const last = max(mul(cast(greater(shares, 0), 'int64'), iota('vocab', vocab)), 'vocab');
  const over = cast(greater(running, uniform), 'float32');
  const token = where(greater(max(over, 'vocab'), 0), argmax(over, 'vocab'), last);
  return {
    token,
    logProb: pick(logProbs, 'vocab', token),
    missing: sub(1, drop(slice(running, 'vocab', -1, 1), 'vocab')),
  };
}

function byBlocks(logits, uniform, temperature) {
  const { token, logProb } = draw(logits, uniform, temperature);
  return { token, logProb };
}

async function measured(name, make, rows, logits, uniforms) {
  const sizes = { prompt: 1, sample: rows };
  const outputs = make(
    input('logits', 'float32', { ...sizes, vocab }),
    input('uniform', 'float32', sizes),
    input('temperature', 'float32', {}),
  );
  const session = await ort.InferenceSession.create(emit(graphOf(name, outputs), 'cpu').bytes, {
    intraOpNumThreads: 1,
  });
  const tensor = (data, ...dims) => new ort.Tensor('float32', data, dims);
  const feeds = {
    logits: tensor(logits, 1, rows, vocab),
    uniform: tensor(uniforms, 1, rows),
    temperature: tensor(Float32Array.of(1)),
  };
  const { missing } = await session.run(feeds);
  const {
    median,
    min,
    max: slowest,
  } = spread((await timed(REPEATS, () => session.run(feeds))).map((seconds) => 1000 * seconds));
  await session.release();
  return { median, min, max: slowest, ...(missing && { missing: Math.max(...missing.data) }) };
}

const normal = draws('bench', 'draw');
const row = Float32Array.from({ length: vocab }, () => normal.normal(3));
const result = {
  bench: 'draw',
  cores: availableParallelism(),
  threads: 1,
  node: process.version,
  repeats: REPEATS,
  vocab,
};
for (const rows of [8, 64]) {
  const logits = new Float32Array(rows * vocab);
  for (let i = 0; i < rows; i++) logits.set(row, i * vocab);
  const uniforms = Float32Array.from({ length: rows }, (_, i) => (i + 0.5) / rows);
  const [oneSum, blocks] = [
    await measured(`one sum ${rows}`, byOneSum, rows, logits, uniforms),
    await measured(`blocks ${rows}`, byBlocks, rows, logits, uniforms),
  ];
  result[`rows${rows}`] = { oneSum, blocks, ratio: Math.round((oneSum.median / blocks.median) * 10) / 10 };
}
console.log(JSON.stringify(result));
