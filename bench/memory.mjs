/**
 * Peak memory of rollouts and of training, against what `segr1 models inspect` computes: `node bench/memory.mjs
 * [tiny|middle|3b|sam2] [FRAME]`.
 *
 * Each job runs twice in a process of its own; measured is its largest resident size, with what is mapped of files. One
 * JSON line a job. `3b` trains a LoRA adapter of the language model alone, once: it takes 15 GB of disk and minutes.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { drawScene } from '../dist/io/scenes.js';
import { readConfig } from '../dist/models/qwen2_5_vl/architecture.js';
import { adapterOf } from '../dist/models/vlm/lora.js';
import { memoryOf } from '../dist/models/vlm/memory.js';
import { openPolicy } from '../dist/models/policies.js';
import { readSam2Config } from '../dist/models/sam2/config.js';
import { decodeMemory, embedMemory } from '../dist/models/sam2/memory.js';
import { openNetwork } from '../dist/models/sam2/network.js';
import { promptTokens } from '../dist/models/sam2/prompts.js';
import { openWeights } from '../dist/models/sam2/weights.js';
import { openEngine } from '../dist/tensor/engines.js';
import { segR1 } from '../dist/objectives/policy-gradient.js';
import { BILLIONS, randomCheckpoint, randomSam2 } from './made.mjs';

/** 178 million weights in the proportions of the published ones. */
const MIDDLE = {
  text: {
    hidden_size: 1024,
    intermediate_size: 2816,
    num_hidden_layers: 12,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    vocab_size: 8192,
    rope_theta: 1e6,
    rope_scaling: { type: 'mrope', mrope_section: [8, 12, 12] },
  },
  vision: {
    hidden_size: 512,
    intermediate_size: 1536,
    depth: 8,
    num_heads: 8,
    out_hidden_size: 1024,
    fullatt_block_indexes: [3, 7],
  },
};
/** Of the language model and the vision tower, and of the language model alone. */
const LORA = {
  lora: { rank: 16, alpha: 32, pattern: String.raw`.*_proj` },
  language: { rank: 16, alpha: 32, pattern: String.raw`model\.language_model\..*_proj` },
};
const USES = {
  tiny: [{ frame: 112, group: 8, maxTokens: 44, prompts: 4 }],
  middle: [
    { frame: 448, group: 4, maxTokens: 48, prompts: 1 },
    { frame: 672, group: 8, maxTokens: 96, prompts: 1 },
  ],
  '3b': [{ frame: 448, group: 2, maxTokens: 100, prompts: 1, steps: 1 }],
};
/** Each without and with gradient checkpointing. */
const JOBS = [
  ['rollout', false],
  ['full', false],
  ['lora', false],
  ['full', true],
  ['lora', true],
  ['language', false],
  ['language', true],
];
const TRAIN = { rollout: 'none', full: 'full', lora: { lora: LORA.lora }, language: { lora: LORA.language } };

const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;

async function measured(folder, job, gradientCheckpointing, { frame, group, maxTokens, prompts, steps = 2 }) {
  const policy = await openPolicy(folder, {
    workers: 1,
    threads: 2,
    batch: prompts,
    gradientCheckpointing,
    prompt: { user: 'segment the main object' },
    train: TRAIN[job],
  });
  const encoded = Array.from({ length: prompts }, (_, i) =>
    policy.encode({}, drawScene({ kind: 'pick', seed: 3, index: i, rule: 'any' }, frame).image),
  );
  let seconds;
  if (job === 'rollout') {
    for (let run = 0; run < 2; run++)
      await policy.generate({
        prompts: encoded,
        group,
        temperature: 1,
        maxTokens,
        random: { keys: encoded.map((_, p) => [p]) },
      });
  } else {
    const completion = Array.from({ length: maxTokens }, (_, t) => 20 + (t % 100));
    const rows = encoded.map((prompt) => {
      const each = (value) => Array.from({ length: group }, () => completion.map(() => value));
      return {
        prompt,
        completions: Array.from({ length: group }, () => completion),
        perToken: { oldLogProbs: each(-5), weight: each(1e-3), share: each(1e-3) },
        perSample: { advantages: Array.from({ length: group }, (_, i) => i % 2) },
      };
    });
    const begun = performance.now();
    for (let step = 0; step < steps; step++) {
      const { gradient } = await policy.gradient({ loss: { objective: segR1(0) }, rows, temperature: 1 });
      await policy.step(gradient, { learningRate: 1e-6, maxNorm: 1 });
    }
    seconds = Math.round((performance.now() - begun) / 1000);
  }
  const { tokens, images } = encoded[0];
  const { merge } = policy.config.vision;
  await policy.release();
  return { seconds, peak: peak(), text: tokens.length - (images[0].grid.h * images[0].grid.w) / merge ** 2 };
}

/** Peak of embedding an image twice, and of decoding objects about it where there are some. */
async function measuredSam2(folder, objects) {
  const config = await readSam2Config(folder);
  const weights = await openWeights(folder, config);
  const network = await openNetwork(openEngine({ workers: 1, threads: 2 }), weights, config);
  const pixels = Float32Array.from({ length: 3 * config.size ** 2 }, (_, i) => Math.sin(i));
  const clicks = [
    [40, 50, 2],
    [900, 800, 3],
    [60, 70, 1],
  ].map(([x, y, label]) => ({ x, y, label }));
  let embedding;
  for (let run = 0; run < 2; run++) embedding = await network.embed(pixels);
  for (let run = 0; run < 2 && objects > 0; run++)
    await network.decode(
      embedding,
      Array.from({ length: objects }, () => ({ tokens: promptTokens(weights, config, clicks) })),
    );
  await network.release();
  return { peak: peak() };
}

const [what = '', folder, job, checkpointing, use] = process.argv.slice(2);
if (what === 'child') {
  console.log(JSON.stringify(await measured(folder, job, checkpointing === 'true', JSON.parse(use))));
} else if (what === 'sam2 child') {
  console.log(JSON.stringify(await measuredSam2(folder, Number(job))));
} else if (what === 'sam2') {
  const dir = await randomSam2();
  const config = await readSam2Config(dir);
  for (const objects of [0, 1, 8]) {
    const { peak: bytes } = JSON.parse(
      execFileSync(process.execPath, [fileURLToPath(import.meta.url), 'sam2 child', dir, String(objects)], {
        encoding: 'utf8',
      }),
    );
    const { total, parts } = objects === 0 ? embedMemory(config) : decodeMemory(config, objects);
    console.log(
      JSON.stringify({
        bench: 'memory',
        checkpoint: 'sam2',
        objects,
        measuredMB: Math.round(bytes / 1e6),
        computedMB: Math.round(total / 1e6),
        ratio: Math.round((100 * total) / bytes) / 100,
        parts: Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, Math.round(part / 1e6)])),
      }),
    );
  }
  await rm(dir, { recursive: true });
} else {
  const child = (...args) =>
    JSON.parse(
      execFileSync(process.execPath, [fileURLToPath(import.meta.url), 'child', ...args], { encoding: 'utf8' }),
    );
  const small = fileURLToPath(new URL('../data/models/tiny', import.meta.url));
  const MB = (bytes) => Math.round(bytes / 1e6);
  for (const kind of what === '' ? ['tiny', 'middle'] : [what]) {
    const dir = kind === 'tiny' ? small : await randomCheckpoint(kind === '3b' ? BILLIONS : MIDDLE);
    if (kind !== 'tiny') {
      const file = join(dir, 'preprocessor_config.json');
      await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), max_pixels: 1024 * 1024 }));
    }
    const config = await readConfig(dir);
    for (const each of USES[kind].filter(({ frame }) => folder === undefined || frame === Number(folder))) {
      for (const [job, gradientCheckpointing] of kind === '3b' ? [['language', true]] : JOBS) {
        const { peak: bytes, text, seconds } = child(dir, job, String(gradientCheckpointing), JSON.stringify(each));
        const { total, parts } = memoryOf(
          config,
          LORA[job] ? { kind: 'lora', adapter: adapterOf(config, LORA[job]) } : { kind: job },
          { ...each, text, mapped: true, gradientCheckpointing },
        );
        const all = Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, MB(part)]));
        console.log(
          JSON.stringify({
            bench: 'memory',
            checkpoint: kind,
            job,
            gradientCheckpointing,
            ...each,
            seconds,
            measuredMB: MB(bytes),
            computedMB: MB(total),
            ratio: Math.round((100 * total) / bytes) / 100,
            parts: all,
          }),
        );
      }
    }
    if (kind !== 'tiny') await rm(dir, { recursive: true });
  }
}
