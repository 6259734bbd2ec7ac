/**
 * What an adapter costs beside the policy without one: `node bench/adapter.mjs [RANK]`.
 *
 * Rank 16 by default, on every linear layer of the language model of `bench/policy.mjs`'s 2.7 M parameters: rollouts
 * of 8 and 64 completions of
 * 96 tokens, and the update of 16 rows of 128 tokens, in which all weights learn or the adapter alone. The two take
 * turns. Prints one JSON
 * line; `cpu` is the processor time of a run in seconds, which other programs on the machine disturb less. `ratio` is
 * with an adapter to without.
 *
 * On 2 busy cores, one thread, ONNX Runtime 1.30: rollouts 1.2, the update 0.75. At a hidden size of 192 rank 16 has a
 * fifth of the arithmetic
 * of the layers that it adapts; at 1024 it has a thirtieth, and rollouts take 1.1.
 */
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';

import { openPolicy } from '../dist/models/policies.js';
import { decays } from '../dist/operators/training/schedule.js';
import { segR1 } from '../dist/objectives/policy-gradient.js';
import { uniform } from '../dist/random.js';
import { PEERS, randomCheckpoint, spread } from './made.mjs';

const REPEATS = 5;
const rank = Number(process.argv[2] ?? 16);
const lora = { rank, alpha: 2 * rank, pattern: String.raw`model\.language_model\..*_proj` };
const folder = await randomCheckpoint(PEERS);

/** A prompt of text. */
const text = (tokens) => ({ text: '', tokens: Array.from({ length: tokens }, (_, t) => 20 + (t % 120)), images: [] });

/** Wall and processor seconds of what `job` does with each of the policies, which take turns. */
async function compared(ways, options, job) {
  const policies = await Promise.all(
    ways.map((train) => openPolicy(folder, { workers: 1, threads: 1, ...options, train })),
  );
  try {
    const seen = policies.map(() => ({ wall: [], cpu: [] }));
    for (let i = -1; i < REPEATS; i++) {
      for (const [way, policy] of policies.entries()) {
        const [start, before] = [performance.now(), process.cpuUsage()];
        await job(policy);
        const { user, system } = process.cpuUsage(before);
        if (i < 0) continue;
        seen[way].wall.push((performance.now() - start) / 1000);
        seen[way].cpu.push((user + system) / 1e6);
      }
    }
    const [without, adapter] = seen.map(({ wall, cpu }) => ({ wall: spread(wall), cpu: spread(cpu) }));
    return { without, adapter, ratio: Math.round((adapter.cpu.min / without.cpu.min) * 100) / 100 };
  } finally {
    await Promise.all(policies.map((policy) => policy.release()));
  }
}

const rollout = (rows) =>
  compared(['none', { lora }], { batch: rows }, (policy) =>
    policy.generate({
      prompts: Array.from({ length: rows }, () => text(49)),
      group: 1,
      temperature: 1,
      maxTokens: 96,
      random: { keys: Array.from({ length: rows }, (_, p) => [p]) },
    }),
  );

const update = () => {
  const loss = { objective: segR1(0) };
  const rows = Array.from({ length: 16 }, (_, i) => {
    const completion = Array.from({ length: 127 }, (__, t) => 20 + Math.floor(uniform('text', i, t) * 120));
    const one = completion.map(() => 1 / (16 * 127));
    return {
      prompt: text(1),
      completions: [completion],
      perToken: { oldLogProbs: [one.map(() => 0)], weight: [one], share: [one] },
      perSample: { advantages: [1], sampleShare: [1 / 16] },
    };
  });
  return compared(['full', { lora }], { batch: 8 }, async (policy) => {
    const { gradient } = await policy.gradient({ loss, rows, temperature: 1 });
    await policy.step(gradient, { learningRate: 1e-5, maxNorm: 1, decays });
  });
};

const result = { bench: 'adapter', rank, cores: availableParallelism(), node: process.version, repeats: REPEATS };
result.rollout8 = await rollout(8);
result.rollout64 = await rollout(64);
result.update = await update();
await rm(folder, { recursive: true });
console.log(JSON.stringify(result));
