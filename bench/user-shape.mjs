/**
 * A group's gradient and rollout at a user's shape: `node bench/user-shape.mjs [--repeats N] [--gradient-checkpointing]
 * [--peer PYTHON user_shape.py]`.
 *
 * 39 M weights; one image of 756 px (54 × 54 patches, 729 tokens), a prompt of 980 tokens, 8 completions of 100. The
 * measured process does
 * both on one policy, as training does; its peak is what was resident of it and its mapped files. With `--peer`
 * transformers is measured
 * in the same run. Prints one JSON line.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { drawScene } from '../dist/io/scenes.js';
import { openPolicy } from '../dist/models/policies.js';
import { segR1 } from '../dist/objectives/policy-gradient.js';
import { randomCheckpoint, spread, timed, USERS } from './made.mjs';

const SIDE = 756;
const PROMPT = 980;
const GROUP = 8;
const NEW = 100;

const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024;

/** Seconds of each job, and the peak after each. @param jobs of `gradient` and `rollout`, in this order. */
async function measured(folder, { jobs, repeats, gradientCheckpointing, threads }) {
  const policy = await openPolicy(folder, {
    workers: 1,
    threads,
    batch: 1,
    gradientCheckpointing,
    prompt: { user: 'segment the main object' },
  });
  const prompt = policy.encode({}, drawScene({ kind: 'pick', seed: 3, index: 0, rule: 'any' }, SIDE).image);
  const tokens = [
    ...prompt.tokens,
    ...Array.from({ length: PROMPT - prompt.tokens.length }, () => prompt.tokens.at(-1)),
  ];
  const asked = { ...prompt, tokens };
  const completion = Array.from({ length: NEW }, (_, t) => 20 + t);
  const each = (value) => Array.from({ length: GROUP }, () => completion.map(() => value));
  const row = {
    prompt: asked,
    completions: Array.from({ length: GROUP }, () => completion),
    perToken: { oldLogProbs: each(0), weight: each(1e-3), share: each(1e-3) },
    perSample: {
      advantages: Array.from({ length: GROUP }, () => 1),
      sampleShare: Array.from({ length: GROUP }, () => 1 / GROUP),
    },
  };
  const loss = { objective: segR1(0) };
  const work = {
    gradient: () => policy.gradient({ loss, rows: [row], temperature: 1 }),
    rollout: () =>
      policy.generate({ prompts: [asked], group: GROUP, temperature: 1, maxTokens: NEW, random: { keys: [[0]] } }),
  };
  try {
    const result = {};
    for (const job of jobs) {
      await work[job]();
      const before = process.cpuUsage();
      const seconds = spread(await timed(repeats, work[job], 0));
      const { user, system } = process.cpuUsage(before);
      result[job] = { seconds, processorSeconds: Math.round((user + system) / repeats / 1e4) / 100, peak: peak() };
    }
    return result;
  } finally {
    await policy.release();
  }
}

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    repeats: { type: 'string', default: '5' },
    'gradient-checkpointing': { type: 'boolean', default: false },
    jobs: { type: 'string', default: 'gradient,rollout' },
    threads: { type: 'string', default: '2' },
    peer: { type: 'string' },
    child: { type: 'string' },
    checkpoint: { type: 'string' },
  },
});
const repeats = Number(given.repeats);

if (given.child) {
  console.log(
    JSON.stringify(
      await measured(given.child, {
        jobs: given.jobs.split(','),
        repeats,
        gradientCheckpointing: given['gradient-checkpointing'],
        threads: Number(given.threads),
      }),
    ),
  );
} else {
  const folder = given.checkpoint ?? (await randomCheckpoint(USERS));
  const processor = join(folder, 'preprocessor_config.json');
  await writeFile(
    processor,
    JSON.stringify({ ...JSON.parse(await readFile(processor, 'utf8')), max_pixels: 1024 * 1024 }),
  );
  const run = (command, args) =>
    JSON.parse(
      execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
        .trim()
        .split('\n')
        .at(-1),
    );
  const ours = run(process.execPath, [
    fileURLToPath(import.meta.url),
    '--child',
    folder,
    '--jobs',
    given.jobs,
    '--repeats',
    given.repeats,
    ...(given['gradient-checkpointing'] ? ['--gradient-checkpointing'] : []),
    '--threads',
    given.threads,
  ]);
  const result = {
    bench: 'user-shape',
    cores: availableParallelism(),
    node: process.version,
    repeats,
    gradientCheckpointing: given['gradient-checkpointing'],
    ...ours,
  };
  if (given.peer) {
    const theirs = run(given.peer, [positionals[0], folder, String(GROUP), String(NEW)]);
    const ratio = (other, seconds) => Math.round((other / seconds.min) * 100) / 100;
    result.peer = theirs;
    result.ratios = {
      gradient: ratio(theirs.gradient, ours.gradient.seconds),
      rollout: ratio(theirs.generate, ours.rollout.seconds),
    };
  }
  if (!given.checkpoint) await rm(folder, { recursive: true });
  console.log(JSON.stringify(result));
}
