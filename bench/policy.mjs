/**
 * Rollout and update of the policy at the peers' shape: `node bench/policy.mjs [--peer PYTHON HF_POLICY.py]`.
 *
 * 2.7 M parameters, 112 × 112 pixels, 49-token prompts, 96 new tokens; with `--peer` transformers and TRL are measured
 * in the same run.
 * Prints one JSON line.
 */
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';

import { drawScene } from '../dist/io/scenes.js';
import { openPolicy } from '../dist/models/policies.js';
import { PEERS, randomCheckpoint, spread, timed } from './made.mjs';
import { decays } from '../dist/operators/training/schedule.js';
import { grpo, segR1 } from '../dist/objectives/policy-gradient.js';
import { groupAdvantages } from '../dist/operators/advantage.js';
import { trainRows } from '../dist/operators/training/train-rows.js';
import { uniform } from '../dist/random.js';

const REPEATS = 5;
const PROMPT = 49;
const NEW = 96;

const folder = await randomCheckpoint(PEERS);

/** Each prompt with an image of its own, made as long as the peers' with a repeated token. */
function prompts(policy, count) {
  return Array.from({ length: count }, (_, i) => {
    const prompt = policy.encode({}, drawScene({ kind: 'pick', seed: 3, index: i, rule: 'any' }, 112).image);
    const text = prompt.tokens.at(-1);
    return {
      ...prompt,
      tokens: [...prompt.tokens, ...Array.from({ length: PROMPT - prompt.tokens.length }, () => text)],
    };
  });
}

async function rollout(rows, group, batch) {
  const policy = await openPolicy(folder, {
    workers: 2,
    threads: 1,
    batch,
    prompt: { user: 'segment the main object' },
  });
  try {
    const asked = prompts(policy, rows);
    let tokens = 0;
    const seconds = await timed(REPEATS, async () => {
      const written = await policy.generate({
        prompts: asked,
        group,
        temperature: 1,
        maxTokens: NEW,
        random: { keys: asked.map((_, p) => [p]) },
      });
      tokens = written.flat().reduce((sum, one) => sum + one.tokens.length, 0);
    });
    const times = spread(seconds);
    return { rows: rows * group, seconds: times, tokens, tokensPerSecond: Math.round(tokens / times.min) };
  } finally {
    await policy.release();
  }
}

/** 16 rows of 128 tokens of text, as the peers' update: forward, backward, clipping and AdamW. */
async function update() {
  const policy = await openPolicy(folder, { workers: 2, threads: 1, batch: 8 });
  try {
    const loss = { objective: segR1(0) };
    const rows = Array.from({ length: 16 }, (_, i) => {
      const completion = Array.from({ length: 127 }, (__, t) => 20 + Math.floor(uniform('text', i, t) * 120));
      const one = completion.map(() => 1 / (16 * 127));
      return {
        prompt: { text: '', tokens: [20], images: [] },
        completions: [completion],
        perToken: { oldLogProbs: [one.map(() => 0)], weight: [one], share: [one] },
        perSample: { advantages: [1], sampleShare: [1 / 16] },
      };
    });
    const seconds = await timed(REPEATS, async () => {
      const { gradient } = await policy.gradient({ loss, rows, temperature: 1 });
      await policy.step(gradient, { learningRate: 1e-5, maxNorm: 1, decays });
    });
    const times = spread(seconds);
    return { seconds: times, tokensPerSecond: Math.round((16 * 128) / times.min) };
  } finally {
    await policy.release();
  }
}

/** A group's gradient behind one shared prefix, and the same with a prefix for each completion. */
async function sharing({ asked, count, group, tokens }) {
  const open = (batch) =>
    openPolicy(folder, { workers: 1, threads: 2, batch, prompt: { user: 'segment the main object' } });
  const [policy, apart] = [await open(count), await open(8)];
  try {
    const loss = { objective: segR1(0) };
    const row = (prompt, completions) => ({
      prompt,
      completions,
      perToken: {
        oldLogProbs: completions.map((c) => c.map(() => 0)),
        weight: completions.map((c) => c.map(() => 1e-3)),
        share: completions.map((c) => c.map(() => 1e-3)),
      },
      perSample: { advantages: completions.map(() => 1), sampleShare: completions.map(() => 1 / group) },
    });
    const completion = Array.from({ length: tokens }, (_, t) => 20 + t);
    const encoded = asked(policy);
    const shared = encoded.map((prompt) =>
      row(
        prompt,
        Array.from({ length: group }, () => completion),
      ),
    );
    const plain = encoded.flatMap((prompt) => Array.from({ length: group }, () => row(prompt, [completion])));
    const a = spread(await timed(REPEATS, () => policy.gradient({ loss, rows: shared, temperature: 1 })));
    const b = spread(await timed(REPEATS, () => apart.gradient({ loss, rows: plain, temperature: 1 })));
    const read = plain.length * (encoded[0].tokens.length + tokens);
    return {
      shared: a,
      plain: b,
      ratio: Math.round((b.median / a.median) * 100) / 100,
      tokensPerSecond: Math.round(read / a.min),
      tokensPerSecondPlain: Math.round(read / b.min),
    };
  } finally {
    await policy.release();
    await apart.release();
  }
}

/** One prompt of text, as many tokens long as asked. */
const long = (length) => () => [{ text: '', tokens: Array.from({ length }, (_, t) => 20 + (t % 120)), images: [] }];

/**
 * A whole step of GRPO as the peers' trainer takes it: 8 prompts with 8 completions of 64 tokens, the reference's
 * log-probs, gradient and AdamW.
 */
async function step(kl) {
  const policy = await openPolicy(folder, {
    workers: 2,
    threads: 1,
    batch: 4,
    prompt: { user: 'segment the main object' },
  });
  try {
    const objective = grpo(kl);
    const loss = { objective };
    const asked = prompts(policy, 8);
    const times = spread(
      await timed(REPEATS, async () => {
        const written = await policy.generate({
          prompts: asked,
          group: 8,
          temperature: 1,
          maxTokens: 64,
          random: { keys: asked.map((_, p) => [p]) },
        });
        const rows = written.map((completions, i) => ({
          id: String(i),
          completions,
          advantages: groupAdvantages(
            completions.map((_, s) => s % 7),
            'group',
          ),
        }));
        const batch = trainRows(rows, asked, objective);
        const reference = kl > 0 ? await policy.referenceScores({ rows: batch, temperature: 1 }) : [];
        const { gradient } = await policy.gradient({
          loss,
          rows: batch.map((row, i) => ({
            ...row,
            perToken: { ...row.perToken, ...(kl > 0 && { refLogProbs: reference[i] }) },
          })),
          temperature: 1,
        });
        await policy.step(gradient, { learningRate: 1e-6, maxNorm: 1, decays });
      }),
    );
    return { seconds: times };
  } finally {
    await policy.release();
  }
}

const result = { bench: 'policy', cores: availableParallelism(), node: process.version, repeats: REPEATS };
result.rollout8 = await rollout(8, 1, 4);
result.rollout64 = await rollout(64, 1, 32);
result.rolloutGroups = await rollout(8, 8, 4);
result.update = await update();
result.sharedPrefix = await sharing({ asked: (policy) => prompts(policy, 8), count: 8, group: 8, tokens: 32 });
result.sharedPrefixLong = await sharing({ asked: long(256), count: 1, group: 8, tokens: 64 });
result.step = await step(0.04);
result.stepWithoutKl = await step(0);

const peer = process.argv.indexOf('--peer');
if (peer > 0) {
  const [python, script] = process.argv.slice(peer + 1);
  const lines = execFileSync(python, [script, '--only', 'generate', 'train', 'grpo', '--repeats', String(REPEATS)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const theirs = JSON.parse(lines.trim().split('\n').at(-1));
  const ratio = (ours, other) => Math.round((ours / other) * 100) / 100;
  result.peer = {
    torch: theirs.torch,
    transformers: theirs.transformers,
    trl: theirs.trl,
    generate: theirs.generate,
    train: theirs.train,
    grpo: theirs.grpo,
  };
  const fastest = (beta) => Math.min(...theirs.grpo.filter((one) => one.beta === beta).map(({ seconds }) => seconds));
  result.ratios = {
    rollout8: ratio(result.rollout8.tokensPerSecond, theirs.generate['8'].tokens_per_s),
    rollout64: ratio(result.rollout64.tokensPerSecond, theirs.generate['64'].tokens_per_s),
    update: ratio(result.update.tokensPerSecond, theirs.train.tokens_per_s),
    sharedPrefixLong: ratio(result.sharedPrefixLong.tokensPerSecond, theirs.train.tokens_per_s),
    step: ratio(fastest(0.04), result.step.seconds.min),
    stepWithoutKl: ratio(fastest(0), result.stepWithoutKl.seconds.min),
  };
}
await rm(folder, { recursive: true });
console.log(JSON.stringify(result));
