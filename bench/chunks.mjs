/**
 * Peak memory and processor time of one gradient of a Qwen2.5-VL with a released vocabulary: all logits at once or by
 * chunks, layers kept or computed again.
 *
 * `node bench/chunks.mjs [full|lora]`: each way in a process of its own, on the build, with drawn weights; one JSON
 * line each. `needed` is what
 * the run itself takes, in MB: the peak above what was resident before it, weights and all.
 *
 * 205 M weights, 2 threads, ONNX Runtime 1.30, 4 completions of 128 tokens behind an image of 448 px. An adapter
 * (`lora`): kept and whole 2479,
 * by chunks 1189, computed again 1906, both 666. All weights (`full`): kept and whole 3384, by chunks 3342, computed
 * again 2892; 820 of
 * it are the gradient, and the sum over chunks of the vocabulary's own takes as much as the chunks save here.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { prefixShape } from '../dist/models/vlm/batch.js';
import { readConfig } from '../dist/models/qwen2_5_vl/architecture.js';
import { BLOCKS } from '../dist/models/vlm/attention.js';
import { trainFeeds } from '../dist/models/vlm/feeds.js';
import { adapterOf, adapterShapes } from '../dist/models/vlm/lora.js';
import { objectiveGraph, gradientGraph } from '../dist/models/vlm/train.js';
import { weightShapes } from '../dist/models/qwen2_5_vl/weights.js';
import { dapo } from '../dist/objectives/policy-gradient.js';
import { openEngine } from '../dist/tensor/engines.js';
import { layoutOf } from '../dist/tensor/layout.js';

const SIDE = 32;
const GROUP = 4;
const LENGTH = 128;
const ways = [
  { gradientCheckpointing: false, logits: Infinity },
  { gradientCheckpointing: false },
  { gradientCheckpointing: true, logits: Infinity },
  { gradientCheckpointing: true },
];

const [kind = 'full', way] = process.argv.slice(2);
if (way === undefined) {
  for (const index of ways.keys())
    process.stdout.write(execFileSync(process.execPath, [fileURLToPath(import.meta.url), kind, String(index)]));
} else {
  const { gradientCheckpointing, logits } = ways[Number(way)];
  const tiny = await readConfig(
    fileURLToPath(new URL('../test/golden/fixtures/policy/tiny-qwen2_5_vl', import.meta.url)),
  );
  const config = {
    ...tiny,
    text: {
      ...tiny.text,
      vocab: 151_936,
      hidden: 512,
      intermediate: 1536,
      layers: 12,
      heads: 8,
      kvHeads: 2,
      headDim: 64,
      mropeSection: [8, 12, 12],
    },
    vision: {
      ...tiny.vision,
      hidden: 320,
      heads: 5,
      intermediate: 960,
      depth: 8,
      outHidden: 512,
      fullAttention: [3, 7],
    },
  };
  const adapter =
    kind === 'lora'
      ? adapterOf(config, { rank: 16, alpha: 32, pattern: String.raw`model\.language_model\..*_proj` })
      : undefined;
  const grid = { h: SIDE, w: SIDE };
  const { image } = config.tokens;
  const prompt = {
    text: '',
    tokens: [...Array.from({ length: 64 }, (_, i) => 300 + i), ...Array(SIDE ** 2 / 4).fill(image)],
    images: [{ grid, pixels: Float32Array.from({ length: SIDE ** 2 * 1176 }, (_, i) => Math.sin(i)) }],
  };
  const each = (value) =>
    Array.from({ length: GROUP }, (_, s) => Array.from({ length: LENGTH }, (__, t) => value(s, t)));
  const row = {
    prompt,
    completions: each((s, t) => 100 + ((s * 31 + t * 7) % 500)),
    perToken: {
      oldLogProbs: each(() => -12),
      weight: each(() => 1 / GROUP / LENGTH),
      share: each(() => 1 / GROUP / LENGTH),
    },
    perSample: { advantages: [1, -1, 0.5, -0.5] },
  };
  const shape = {
    ...prefixShape([prompt], 1),
    samples: GROUP,
    length: LENGTH,
    suppressed: [],
    gradientCheckpointing,
    ...(logits === undefined ? {} : { logits }),
  };
  const graph = gradientGraph(config, shape, objectiveGraph(dapo(0)), {
    blocks: BLOCKS.cpu,
    precision: 'float32',
    held: 'float32',
    adapter,
  });

  const engine = openEngine({ workers: 1, threads: 2 });
  const set = async (name, shapes) => {
    const layout = layoutOf(shapes.map(({ name: label, sizes }) => ({ name: label, sizes: Object.values(sizes) })));
    const values = new Float32Array(new SharedArrayBuffer(4 * layout.length));
    for (const { name: label, offset, length } of layout.entries)
      for (let i = 0; i < length; i++)
        values[offset + i] = /norm|ln_q/.test(label) && !/bias/.test(label) ? 1 : 0.04 * Math.sin(i * 1.37 + offset);
    await engine.parameters(name, layout, values);
    return layout.length;
  };
  const base = await set('policy', weightShapes(config));
  const trained = adapter ? await set('adapter', adapterShapes(config, adapter)) : base;
  await engine.open(graph);
  const feeds = trainFeeds(config, [row], shape, 1);
  const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024;
  const before = peak();
  const start = process.cpuUsage();
  const { outputs, gradient } = await engine.run(graph, feeds, adapter ? ['adapter', 'policy'] : ['policy']);
  const { user, system } = process.cpuUsage(start);
  const seconds = (user + system) / 1e6;
  const needed = Math.round(peak() - before);
  const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
  await engine.release();
  console.log(
    JSON.stringify({
      bench: 'chunks',
      kind,
      gradientCheckpointing,
      chunks: logits === undefined,
      weights: base,
      trained,
      needed,
      seconds: Math.round(seconds * 10) / 10,
      loss: outputs.loss[0],
      norm,
    }),
  );
}
