/**
 * What settings do on a device, and two models beside each other: node options.mjs [--device cuda] [--hollow]
 * [--repeats 5]
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';

import { deviceOf } from '../../dist/models/device.js';
import { openPolicy } from '../../dist/models/policies.js';
import { openCheckpoint } from '../../dist/models/sam2/checkpoint.js';
import { grpo } from '../../dist/objectives/policy-gradient.js';
import { drawScene } from '../../dist/io/scenes.js';
import { draws } from '../../dist/random.js';
import { graphOf } from '../../dist/tensor/engine.js';
import { dot, input } from '../../dist/tensor/ops.js';
import { openEngine } from '../../dist/tensor/engines.js';
import { differing, share } from './distance.mjs';
import { randomSam2, roomyFolder } from './random.mjs';
import { each, short, teller } from './tell.mjs';

const { values: asked } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    hollow: { type: 'boolean', default: false },
    repeats: { type: 'string', default: '5' },
    memory: { type: 'string', default: '24GB' },
  },
});
const tell = teller('options');
const REPEATS = Number(asked.repeats);
const device = (tf32 = false) => deviceOf({ device: asked.device, memory: asked.memory, tf32 });
const TINY = fileURLToPath(new URL('../../data/models/tiny', import.meta.url));
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** A product in float32 with every bit, and with factors of 10 bits, beside one in float64. */
async function tf32() {
  const [m, k, n] = [256, 2048, 256];
  const drawn = draws('tf32');
  const a = Float32Array.from({ length: m * k }, () => drawn.normal());
  const b = Float32Array.from({ length: k * n }, () => drawn.normal());
  const exact = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let l = 0; l < k; l++) for (let j = 0; j < n; j++) exact[i * n + j] += a[i * k + l] * b[l * n + j];
  for (const on of [false, true]) {
    const engine = openEngine({ workers: 1, threads: 1, device: device(on) });
    try {
      const graph = graphOf('product', {
        c: dot(input('a', 'float32', { i: m, k }), input('b', 'float32', { k, j: n }), 'k'),
      });
      await engine.open(graph);
      const { outputs } = await engine.run(graph, { a, b });
      const error = share(outputs.c, exact);
      tell(
        { part: 'tf32', on, error },
        `tf32 ${on ? 'on ' : 'off'}: a product of float32 is ${short(error)} from float64`,
      );
    } finally {
      await engine.release();
    }
  }
}

const asking = (prompts) => ({
  prompts,
  group: 4,
  temperature: 1,
  maxTokens: 24,
  random: { keys: prompts.map((_, p) => ['options', p]) },
});

async function withTiny(precision, use) {
  const policy = await openPolicy(TINY, { workers: 1, threads: 1, batch: 2, device: device(), precision });
  try {
    const prompts = [0, 1].map((index) =>
      policy.encode({}, drawScene({ kind: 'pick', seed: 3, index, rule: 'any' }, 112).image),
    );
    return await use(policy, prompts);
  } finally {
    await policy.release();
  }
}

/** The same work twice with one policy, and once more with another: what does not come out the same, bit by bit. */
async function determinism(precision) {
  const loss = { objective: grpo(0) };
  const once = async (policy, prompts, completions) => {
    const written = (await policy.generate(asking(prompts))).flat();
    const rows = prompts.map((prompt) => {
      const each = (value) => completions.map((tokens) => tokens.map(() => value));
      return {
        prompt,
        completions,
        perToken: { oldLogProbs: each(-1), weight: each(1e-2), share: each(1e-2) },
        perSample: { advantages: completions.map((_, i) => (i % 2) - 0.5), sampleShare: completions.map(() => 0.125) },
      };
    });
    const { gradient, metrics } = await policy.gradient({ loss, rows, temperature: 1 });
    const norm = await policy.step(gradient, { learningRate: 0, maxNorm: Infinity }).catch((error) => error.message);
    return {
      tokens: written.flatMap(({ tokens }) => tokens),
      logProbs: written.flatMap(({ logProbs }) => logProbs),
      learned: [metrics.loss, norm],
    };
  };
  const completions = Array.from({ length: 4 }, (_, s) =>
    Array.from({ length: 20 }, (__, t) => 20 + ((7 * s + 3 * t) % 100)),
  );
  const [first, second] = await withTiny(precision, async (policy, prompts) => [
    await once(policy, prompts, completions),
    await once(policy, prompts, completions),
  ]);
  const third = await withTiny(precision, (policy, prompts) => once(policy, prompts, completions));
  for (const [name, other] of [
    ['again', second],
    ['opened again', third],
  ]) {
    const counts = Object.fromEntries(Object.keys(first).map((key) => [key, differing(other[key], first[key])]));
    tell(
      { part: 'determinism', precision, name, ...counts, of: first.tokens.length },
      `${precision} ${name}: ${counts.tokens} of ${first.tokens.length} tokens other, ${counts.logProbs} log-probs, ${counts.learned} of loss and norm`,
    );
  }
}

/** SAM 2.1 of the large shape by itself, and while a policy writes. */
async function sideBySide() {
  const folder = join(roomyFolder(2e9), 'segr1-sam2');
  await randomSam2(folder, { hollow: asked.hollow });
  try {
    for (const precision of ['float32', 'bfloat16']) {
      const segmenter = await openCheckpoint(folder, false, { workers: 1, threads: 1, device: device(), precision });
      try {
        await timed(segmenter, precision, 'alone');
        await withTiny('float32', async (policy, prompts) => {
          await policy.generate(asking(prompts));
          let going = true;
          let rounds = 0;
          const writing = (async () => {
            for (; going; rounds++) await policy.generate(asking(prompts));
          })();
          await timed(segmenter, precision, 'beside a policy that writes').finally(() => (going = false));
          await writing;
          tell({ part: 'beside', precision, rounds });
        });
      } finally {
        await segmenter.release();
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @returns milliseconds of embedding an image, and of decoding eight boxes of it. */
async function timed(segmenter, precision, when) {
  const { size } = segmenter.pixels;
  const boxes = Array.from({ length: 8 }, (_, i) => [
    { x: 40 * i, y: 30 * i, label: 2 },
    { x: 40 * i + 500, y: 30 * i + 600, label: 3 },
  ]);
  const pixels = Float32Array.from(
    { length: 3 * size * size },
    (_, i) => ((Math.imul(i + 1, 0x9e3779b1) >>> 8) / 2 ** 24 - 0.5) * 4,
  );
  const [embed, decode] = [[], []];
  for (let i = 0; i <= REPEATS; i++) {
    const start = performance.now();
    const embedding = await segmenter.embed(pixels);
    const between = performance.now();
    await segmenter.answer(embedding, boxes);
    const end = performance.now();
    await segmenter.drop(embedding);
    // The first opens the decoder.
    if (i === 0) continue;
    embed.push(between - start);
    decode.push(end - between);
  }
  tell(
    { part: 'segmenter', precision, when, embed: median(embed), decode: median(decode) },
    `sam2.1 large ${precision} ${when}: an image ${short(median(embed))} ms, 8 boxes of it ${short(median(decode))} ms`,
  );
}

const well = await each(tell, [
  ['tf32', tf32],
  ['determinism in float32', () => determinism('float32')],
  ['determinism in bfloat16', () => determinism('bfloat16')],
  ['two models', sideBySide],
]);
process.exitCode = well ? 0 : 1;
