/**
 * Opening a checkpoint and writing a first token: `node bench/checkpoint.mjs [F32|F16|BF16 …]`.
 *
 * 0.7 G parameters of random weights, each kind in a process of its own: seconds, and the process's peak as a multiple
 * of
 * the weights at 4 bytes, after opening and after the first token. Needs 3 GB of disk and 6 GB of memory. Prints one
 * JSON line a kind.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

import { drawScene } from '../dist/io/scenes.js';
import { readConfig } from '../dist/models/qwen2_5_vl/architecture.js';
import { openPolicy } from '../dist/models/policies.js';
import { weightShapes } from '../dist/models/qwen2_5_vl/weights.js';
import { randomCheckpoint, WIDE } from './made.mjs';

const seconds = (since) => Math.round(performance.now() - since) / 1000;

/** Bytes: the most that was resident, and what is of it the process's own, not a file's. */
function memory() {
  const status = readFileSync('/proc/self/status', 'utf8');
  const [peak, own] = ['VmHWM', 'RssAnon'].map((key) => 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)[1]));
  return { peak, own };
}

async function measure(folder, workers) {
  const weights = weightShapes(await readConfig(folder)).reduce(
    (sum, { sizes }) => sum + Object.values(sizes).reduce((a, b) => a * b, 1),
    0,
  );
  const share = ({ peak, own }) => ({
    peak: Math.round((100 * peak) / (4 * weights)) / 100,
    own: Math.round((100 * own) / (4 * weights)) / 100,
  });
  let start = performance.now();
  const policy = await openPolicy(folder, {
    workers,
    threads: availableParallelism(),
    batch: 1,
    train: 'none',
    prompt: { user: 'segment the main object' },
  });
  const opened = { seconds: seconds(start), ...share(memory()) };
  const first = [];
  const prompt = policy.encode({}, drawScene({ kind: 'pick', seed: 3, index: 0, rule: 'any' }, 112).image);
  for (const maxTokens of [1, 1]) {
    start = performance.now();
    await policy.generate({ prompts: [prompt], group: 1, temperature: 0, maxTokens });
    first.push(seconds(start));
  }
  const [cold, warm] = first;
  const written = { cold, warm, ...share(memory()) };
  await policy.release();
  return { weights, workers, opened, firstToken: written };
}

const [flag, folder, workers] = process.argv.slice(2);
if (flag === '--one') console.log(JSON.stringify(await measure(folder, Number(workers))));
else {
  for (const dtype of process.argv.length > 2 ? process.argv.slice(2) : ['BF16', 'F16', 'F32']) {
    const made = await randomCheckpoint(WIDE, dtype);
    try {
      const told = execFileSync(process.execPath, [fileURLToPath(import.meta.url), '--one', made, '1'], {
        encoding: 'utf8',
      });
      console.log(JSON.stringify({ dtype, ...JSON.parse(told) }));
    } finally {
      await rm(made, { recursive: true });
    }
  }
}
