/**
 * The shape of Qwen2.5-VL-3B with random weights: a rollout, an update of an adapter, a whole step of GRPO, and their
 * memory.
 *
 * node shape3b.mjs [--device cuda] [--precision bfloat16] [--prompts 8] [--group 8] [--tokens 256] [--frame 768]
 * [--rank 16 | --rank 0]
 * [--batch 8] [--run-tokens 6144] [--memory 21GB] [--optimizer device | host] [--repeats 2] [--layers 36] [--blocks 32] [--hollow]
 * [--folder DIR]
 *
 * Completions have their full length. A rank of 0 trains all weights. Fewer layers of the language model, or blocks of the
 * vision tower, are for a machine that has not the memory. The checkpoint is made in a folder of its own, in
 * memory where there is room, and
 * stays there with `probe.json`, what the policy says of a few tokens, for peer.py. `--hollow` writes no values: for a
 * rehearsal without a device.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { surveyCuda } from '../../dist/gpu/find.js';
import { listDevices } from '../../dist/gpu/devices.js';
import { deviceOf } from '../../dist/models/device.js';
import { openPolicy } from '../../dist/models/policies.js';
import { grpo } from '../../dist/objectives/policy-gradient.js';
import { groupAdvantages } from '../../dist/operators/advantage.js';
import { decays } from '../../dist/operators/training/schedule.js';
import { trainRows } from '../../dist/operators/training/train-rows.js';
import { hash, uniform } from '../../dist/random.js';
import { openEngine } from '../../dist/tensor/engines.js';
import { operations, peakOf } from './flops.mjs';
import { randomQwen, roomyFolder } from './random.mjs';
import { each, short, teller } from './tell.mjs';

const { values: asked } = parseArgs({
  options: {
    device: { type: 'string', default: 'cuda' },
    precision: { type: 'string', default: 'bfloat16' },
    prompts: { type: 'string', default: '8' },
    group: { type: 'string', default: '8' },
    tokens: { type: 'string', default: '256' },
    frame: { type: 'string', default: '768' },
    rank: { type: 'string', default: '16' },
    batch: { type: 'string', default: '8' },
    'run-tokens': { type: 'string', default: '6144' },
    memory: { type: 'string' },
    repeats: { type: 'string', default: '2' },
    layers: { type: 'string', default: '36' },
    blocks: { type: 'string', default: '32' },
    optimizer: { type: 'string', default: 'device' },
    hollow: { type: 'boolean', default: false },
    folder: { type: 'string', default: join(roomyFolder(8e9), 'segr1-3b') },
    step: { type: 'string', default: 'shape3b' },
  },
});
/** Milliseconds between looks at the memory. */
const EVERY = 4;
const tell = teller(asked.step);
const [PROMPTS, GROUP, TOKENS, RANK, REPEATS] = ['prompts', 'group', 'tokens', 'rank', 'repeats'].map((name) =>
  Number(asked[name]),
);
const objective = grpo(0);
const loss = { objective };
const seconds = async (run) => {
  const start = performance.now();
  const value = await run();
  return [value, (performance.now() - start) / 1000];
};

/** As Seg-R1 asks: an image of the frame, and text around it. */
function promptOf({ tokens, vision, text }, seed, words = 256) {
  const side = vision.merge * Math.round(Number(asked.frame) / (vision.patch * vision.merge));
  const placeholders = Array.from({ length: (side / vision.merge) ** 2 }, () => tokens.image);
  const id = (i) => 1000 + (hash('word', seed, i) % (Math.min(text.vocab, 151_000) - 1000));
  const pixels = new Float32Array(side * side * 3 * vision.temporalPatch * vision.patch ** 2);
  for (let i = 0; i < pixels.length; i++) pixels[i] = ((Math.imul(i + 1, 0x9e3779b1 ^ seed) >>> 8) / 2 ** 24 - 0.5) * 3;
  return {
    text: '',
    tokens: [tokens.visionStart, ...placeholders, tokens.visionEnd, ...Array.from({ length: words }, (_, i) => id(i))],
    images: [{ grid: { h: side, w: side }, pixels }],
  };
}

function cardName() {
  try {
    return (
      listDevices(surveyCuda().driver?.library ?? '')[deviceOf({ device: asked.device, tf32: false }).index ?? 0]
        ?.name ?? 'unknown'
    );
  } catch {
    return 'unknown';
  }
}

/** Rows of a step: rewards are drawn, so that groups have something to teach. */
function rowsOf(written, prompts) {
  const rows = written.map((completions, p) => ({
    id: String(p),
    completions,
    advantages: groupAdvantages(
      Float32Array.from(completions, (_, s) => uniform('reward', p, s)),
      'group',
    ),
  }));
  return trainRows(rows, prompts, objective);
}

async function main() {
  const reused = existsSync(join(asked.folder, 'model.safetensors'));
  if (!reused) {
    const [bytes, took] = await seconds(() =>
      randomQwen(asked.folder, {
        hollow: asked.hollow,
        text: { num_hidden_layers: Number(asked.layers) },
        blocks: Number(asked.blocks),
      }),
    );
    tell(
      { part: 'weights', bytes, took },
      `${(bytes / 1e9).toFixed(1)} GB of ${asked.hollow ? 'no' : 'random'} weights in ${asked.folder}, ${took.toFixed(1)} s`,
    );
  }
  const device = deviceOf({ device: asked.device, memory: asked.memory, tf32: false });
  const config = JSON.parse(readFileSync(join(asked.folder, 'config.json'), 'utf8'));
  const never = [
    config.image_token_id,
    config.video_token_id,
    config.vision_start_token_id,
    config.vision_end_token_id,
    config.eos_token_id,
    config.bos_token_id,
  ];
  const options = {
    workers: 1,
    threads: 1,
    device,
    precision: asked.precision,
    batch: Number(asked.batch),
    tokens: Number(asked['run-tokens']),
    gradientCheckpointing: true,
    optimizer: asked.optimizer,
    // The end among them: every completion has its full length.
    suppressed: never,
    train:
      RANK > 0
        ? { lora: { rank: RANK, alpha: 2 * RANK, pattern: String.raw`model\.language_model\..*_proj` } }
        : 'full',
    notice: (text) => tell({ part: 'notice', text }, text),
  };
  const [policy, opening] = await seconds(() => openPolicy(asked.folder, options));
  tell(
    { part: 'open', took: opening, learning: policy.parameters },
    `open ${opening.toFixed(1)} s, ${policy.parameters} weights learn`,
  );
  // Engines on one device share its memory, so a second one can be asked about both, also while the first computes.
  const watch = openEngine({ workers: 1, threads: 1, device });
  const watching = watched(watch);
  const memory = async (when) => {
    const use = await watch.memory();
    if (!use) return;
    const most = watching.most();
    tell(
      { part: 'memory', when, ...use, seen: most },
      `memory ${when}: ${(use.inUse / 1e9).toFixed(2)} GB in use, ${(most / 1e9).toFixed(2)} GB at most meanwhile, ${(use.taken / 1e9).toFixed(1)} GB taken`,
    );
  };
  try {
    await measure(policy, memory);
  } finally {
    await watching.stop();
    await watch.release();
    await policy.release();
  }
}

/**
 * Looks again and again: what was taken at once counts as in use at its most.
 *
 * @returns `most` of what was seen since it was last asked.
 */
function watched(engine) {
  let [most, going] = [0, true];
  const look = (async () => {
    while (going) {
      const use = await engine.memory();
      if (!use) return;
      most = Math.max(most, use.inUse);
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  })();
  return {
    most() {
      const seen = most;
      most = 0;
      return seen;
    },
    stop() {
      going = false;
      return look;
    },
  };
}

async function measure(policy, memory) {
  const prompts = Array.from({ length: PROMPTS }, (_, p) => promptOf(policy.config, p));
  const [
    {
      tokens: { length: prompt },
      images: [{ grid }],
    },
  ] = prompts;
  const patches = grid.h * grid.w;
  const counted = operations(policy.config, { prompts: PROMPTS, prompt, patches, group: GROUP, tokens: TOKENS });
  const card = cardName();
  const peak = peakOf(card);
  const written = PROMPTS * GROUP * TOKENS;
  const all = PROMPTS * GROUP * (prompt + TOKENS);
  const share = (work, took) => (peak === undefined ? undefined : work / took / peak);
  const said = (work, took) =>
    `${short(work / took / 1e12)} TFLOP/s${peak === undefined ? '' : `, ${(100 * share(work, took)).toFixed(1)} % of ${short(peak / 1e12)}`}`;
  tell(
    {
      part: 'shape',
      card,
      peak,
      prompts: PROMPTS,
      prompt,
      patches,
      group: GROUP,
      tokens: TOKENS,
      rank: RANK,
      precision: asked.precision,
      ...counted,
    },
    `${card}: ${PROMPTS} prompts of ${prompt} tokens, ${patches} patches among them, × ${GROUP} × ${TOKENS}, rank ${RANK}, ${asked.precision}`,
  );
  await memory('with nothing run');

  let draw = 0;
  const rollout = () =>
    policy.generate({
      prompts,
      group: GROUP,
      temperature: 1,
      maxTokens: TOKENS,
      random: { keys: prompts.map((_, p) => [draw, p]) },
    });
  let completions;
  let batch;
  const update = () => policy.gradient({ loss, rows: batch, temperature: 1 });
  const well = await each(tell, [
    [
      'rollout',
      async () => {
        const [first, opening] = await seconds(rollout);
        completions = first;
        const length = first.flat().reduce((sum, { tokens }) => sum + tokens.length, 0);
        tell(
          { part: 'first rollout', took: opening, length },
          `first rollout, its graph opened: ${opening.toFixed(1)} s, ${length} tokens`,
        );
        await memory('behind a rollout');
      },
    ],
    [
      'update',
      async () => {
        batch = rowsOf(completions, prompts);
        const [{ gradient, metrics }, opening] = await seconds(update);
        const [norm, step] = await seconds(() =>
          policy.step(gradient, { learningRate: 1e-6, maxNorm: 1, decays }).catch((error) => `none: ${error.message}`),
        );
        tell(
          { part: 'first update', took: opening, step, metrics, norm },
          `first update, its graphs opened: ${opening.toFixed(1)} s, loss ${short(metrics.loss)}, norm ${typeof norm === 'number' ? short(norm) : norm}`,
        );
        await memory('behind an update');
      },
    ],
  ]);
  if (!well) return;
  const times = { rollout: [], update: [], step: [], whole: [] };
  await each(tell, [
    [
      'whole steps',
      async () => {
        for (let i = 0; i < REPEATS; i++) {
          draw++;
          const [, whole] = await seconds(async () => {
            const [own, wrote] = await seconds(rollout);
            batch = rowsOf(own, prompts);
            const [{ gradient }, learned] = await seconds(update);
            const [, stepped] = await seconds(() =>
              policy.step(gradient, { learningRate: 1e-6, maxNorm: 1, decays }).catch(() => undefined),
            );
            times.rollout.push(wrote);
            times.update.push(learned);
            times.step.push(stepped);
          });
          times.whole.push(whole);
          tell(
            {
              part: 'step',
              rollout: times.rollout.at(-1),
              update: times.update.at(-1),
              step: times.step.at(-1),
              whole,
            },
            `a step: rollout ${times.rollout.at(-1).toFixed(2)} s, update ${times.update.at(-1).toFixed(2)} s, AdamW ${times.step.at(-1).toFixed(3)} s, whole ${whole.toFixed(2)} s`,
          );
        }
      },
    ],
  ]);
  if (times.whole.length === 0) return;
  const best = Object.fromEntries(Object.entries(times).map(([name, some]) => [name, Math.min(...some)]));
  const both = counted.rollout + counted.update;
  tell(
    {
      part: 'result',
      card,
      seconds: best,
      written,
      all,
      rolloutTokensPerSecond: written / best.rollout,
      updateTokensPerSecond: written / best.update,
      stepTokensPerSecond: all / best.whole,
      rolloutShare: share(counted.rollout, best.rollout),
      updateShare: share(counted.update, best.update),
      stepShare: share(both, best.whole),
      rolloutFlops: counted.rollout / best.rollout,
      updateFlops: counted.update / best.update,
      stepFlops: both / best.whole,
    },
    [
      `rollout ${best.rollout.toFixed(2)} s, ${Math.round(written / best.rollout)} tokens/s, ${((1000 * best.rollout) / TOKENS).toFixed(1)} ms a turn of ${PROMPTS * GROUP}, ${said(counted.rollout, best.rollout)}`,
      `update  ${best.update.toFixed(2)} s, ${Math.round(written / best.update)} written tokens/s, ${said(counted.update, best.update)}`,
      `step    ${best.whole.toFixed(2)} s, ${Math.round(written / best.whole)} written tokens/s, ${Math.round(all / best.whole)} tokens/s with each completion's prompt, ${said(both, best.whole)}`,
    ].join('\n'),
  );
  await memory('at the end');
  await each(tell, [['probe', () => probe(policy, prompts, completions)]]);
}

/**
 * What the policy says of a completion, for a peer with the same weights; the adapter is the first one still but for a
 * few steps at 1e-6.
 */
async function probe(policy, prompts, completions) {
  const rows = [
    {
      prompt: prompts[0],
      completions: completions[0].slice(0, 2).map(({ tokens }) => tokens.slice(0, 64)),
      perToken: {},
    },
  ];
  const [logProbs] = await policy.referenceScores({ rows, temperature: 1 });
  writeFileSync(join(asked.folder, 'pixels.f32'), Buffer.from(prompts[0].images[0].pixels.buffer));
  writeFileSync(
    join(asked.folder, 'probe.json'),
    JSON.stringify({
      prompt: prompts[0].tokens,
      grid: prompts[0].images[0].grid,
      completions: rows[0].completions,
      logProbs,
    }),
  );
  tell({ part: 'probe', mean: logProbs.flat().reduce((sum, p) => sum + p, 0) / logProbs.flat().length });
}

const begun = performance.now();
const well = await each(tell, [['all', main]]);
if (process.env.KEEP === undefined) rmSync(asked.folder, { recursive: true, force: true });
console.log(`${((performance.now() - begun) / 1000).toFixed(1)} s`);
process.exitCode = well ? 0 : 1;
