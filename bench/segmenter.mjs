/**
 * SAM 2.1 at the shape of hiera-tiny, 1024 × 1024, random weights: `node bench/segmenter.mjs [--peer PYTHON SCRIPT
 * ARGUMENTS…]`.
 *
 * Embedding an image, decoding 1, 8 and 32 prompts of a box and three points, and a group of eight prompts about one
 * image with the embedding
 * kept against one embedding a prompt. The peer's script writes a JSON file at `--out`, with transformers'
 * milliseconds. Prints one JSON line.
 */
import { execFileSync } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { readSam2Config } from '../dist/models/sam2/config.js';
import { openNetwork } from '../dist/models/sam2/network.js';
import { promptTokens } from '../dist/models/sam2/prompts.js';
import { openSam2 } from '../dist/models/sam2/segmenter.js';
import { openWeights } from '../dist/models/sam2/weights.js';
import { openEngine } from '../dist/tensor/engines.js';
import { draws } from '../dist/random.js';
import { randomSam2, spread, timed } from './made.mjs';

const REPEATS = 5;
const THREADS = Math.min(2, availableParallelism());

async function graphs(folder) {
  const config = await readSam2Config(folder);
  const weights = await openWeights(folder, config);
  const start = performance.now();
  const network = await openNetwork(openEngine({ workers: 1, threads: THREADS }), weights, config);
  const opened = (performance.now() - start) / 1000;
  try {
    const draw = draws('bench', 'pixels');
    const pixels = Float32Array.from({ length: 3 * config.size ** 2 }, () => draw.uniform(-2, 2));
    const embedding = await network.embed(pixels);
    const clicks = [
      [40, 50, 1],
      [60, 70, 1],
      [80, 80, 0],
      [20, 30, 2],
      [90, 100, 3],
    ].map(([x, y, label]) => ({ x, y, label }));
    const asked = (count) =>
      Array.from({ length: count }, (_, i) => ({
        tokens: promptTokens(
          weights,
          config,
          clicks.map(({ x, y, label }) => ({ x: x + i, y, label })),
        ),
      }));
    const decode = {};
    for (const count of [1, 8, 32])
      decode[count] = spread(await timed(REPEATS, () => network.decode(embedding, asked(count))));
    return {
      opened: Math.round(opened * 100) / 100,
      embed: spread(await timed(REPEATS, () => network.embed(pixels))),
      decode,
    };
  } finally {
    await network.release();
  }
}

/** Eight prompts about an image that was not seen before. */
async function group(folder, cached) {
  const segmenter = await openSam2({ checkpoint: folder, threads: THREADS, cacheMegabytes: cached ? 512 : 0 });
  const frame = { width: 768, height: 768 };
  const prompts = Array.from({ length: 8 }, (_, i) => ({
    frame,
    objects: [{ box: [100 + i, 100, 500, 600], points: [{ x: 300, y: 300, label: 1 }] }],
  }));
  let shade = 0;
  try {
    const run = async () => {
      const image = { ...frame, data: new Uint8Array(3 * 768 * 768).fill(++shade) };
      if (cached) await segmenter.segment({ image, prompts, frame });
      else for (const prompt of prompts) await segmenter.segment({ image, prompts: [prompt], frame });
    };
    return spread(await timed(1, run));
  } finally {
    await segmenter.release();
  }
}

const folder = await randomSam2();
const result = {
  bench: 'segmenter',
  cores: availableParallelism(),
  threads: THREADS,
  node: process.version,
  repeats: REPEATS,
  ...(await graphs(folder)),
};
result.group8 = { embeddedOnce: await group(folder, true), embeddedForEach: await group(folder, false) };
const peer = process.argv.indexOf('--peer');
if (peer > 0) {
  const [python, script, ...more] = process.argv.slice(peer + 1);
  const out = join(folder, 'peer.json');
  execFileSync(python, [script, ...more, '--out', out], { stdio: 'ignore' });
  const theirs = JSON.parse(await readFile(out, 'utf8'));
  const { embed, decode } = theirs[`sam2 sam2.1-hiera-tiny 1024, ${THREADS} thread(s), ms`];
  const ratio = (milliseconds, seconds) => Math.round(milliseconds / seconds / 10) / 100;
  result.peer = { torch: theirs.torch, transformers: theirs.transformers, embed, decode };
  result.ratios = {
    embed: ratio(embed.min, result.embed.min),
    decode1: ratio(decode.min, result.decode[1].min),
    decode8: ratio(8 * decode.min, result.decode[8].min),
  };
}
await rm(folder, { recursive: true });
console.log(JSON.stringify(result));
