/**
 * The policy on the goldens' checkpoints: log-probs, tokens, gradients, adapters. Each case gives its parts, own values
 * beside the stored ones.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { NonFiniteError } from '../../dist/errors.js';
import { openSafetensors } from '../../dist/io/safetensors.js';
import { openPolicy } from '../../dist/models/policies.js';
import { tokenWeights } from '../../dist/objectives/objective.js';
import { dapo, segR1 } from '../../dist/objectives/policy-gradient.js';
import { decays } from '../../dist/operators/training/schedule.js';

const TINY = 'tiny-qwen2_5_vl';

const json = (path) => JSON.parse(readFileSync(path, 'utf8'));
const integers = async (tensors, name) => Array.from(await tensors.readI64(name), Number);
const rowsOf = (flat, width) =>
  Array.from({ length: flat.length / width }, (_, row) =>
    Array.from({ length: width }, (__, i) => flat[row * width + i]),
  );

function imagesOf(thw, pixels, width) {
  let at = 0;
  return rowsOf(thw, 3).map(([, h, w]) => {
    const first = at;
    at += h * w * width;
    return { grid: { h, w }, pixels: pixels.slice(first, at) };
  });
}

/** Rows of a stored batch with their ids, padding included, and the images that each begins. */
async function storedRows(batch, { tokens, vision }) {
  const length = batch.info('input_ids').shape[1];
  const [ids, attended] = [await integers(batch, 'input_ids'), await integers(batch, 'attention_mask')];
  const width = 3 * vision.temporalPatch * vision.patch ** 2;
  const images = batch.has('pixel_values')
    ? imagesOf(await integers(batch, 'image_grid_thw'), await batch.read('pixel_values'), width)
    : [];
  return rowsOf(ids, length).map((row, r) => {
    const padding = attended.slice(r * length, (r + 1) * length).indexOf(1);
    return {
      ids: row,
      padding,
      prompt: {
        text: '',
        tokens: row.slice(padding),
        images: images.splice(0, row.filter((id) => id === tokens.visionStart).length),
      },
    };
  });
}

/** Opens a checkpoint for the time of `use`. */
async function opened(dir, target, options, use) {
  const policy = await openPolicy(dir, {
    workers: 1,
    threads: target.threads,
    batch: 1,
    suppressed: [],
    device: target.device,
    precision: target.precision,
    ...options,
  });
  try {
    return await use(policy);
  } finally {
    await policy.release();
  }
}

/** Log-probs of the tokens behind each row's last image. */
export async function* forward(folder, target) {
  const yardstick = json(new URL('../../test/fixtures/bfloat16.json', import.meta.url)).logProbs;
  const files = readdirSync(join(folder, 'forward')).filter((name) => name.endsWith('.safetensors'));
  for (const checkpoint of [TINY, `${TINY}-tied-bf16`]) {
    const cases = await opened(join(folder, checkpoint), target, { train: 'none' }, async (policy) => {
      const found = [];
      for (const file of files) {
        const stored = await openSafetensors(join(folder, 'forward', file));
        const prompts = (await storedRows(stored, policy.config)).map(({ prompt }) => prompt);
        const from = prompts.map(({ tokens }) => Math.max(1, tokens.lastIndexOf(policy.config.tokens.image) + 2));
        const own = await policy.scores({
          rows: prompts.map((prompt, r) => ({
            prompt: { ...prompt, tokens: prompt.tokens.slice(0, from[r]) },
            completions: [prompt.tokens.slice(from[r])],
            perToken: {},
          })),
          temperature: 1,
        });
        const name = file.replace('.safetensors', '');
        const behind = (rows) => rows?.flatMap((row, r) => row.slice(from[r] - 1));
        const kernels = yardstick[checkpoint]?.[name] ?? {};
        const torch = Object.fromEntries(Object.entries(kernels).map(([kernel, rows]) => [kernel, behind(rows)]));
        found.push({
          name: `${checkpoint} ${name}`,
          parts: { 'log-probs': { own: own.flat(2), golden: torch['float32.eager'], allowed: 1e-4, torch } },
        });
      }
      return found;
    });
    yield* cases;
  }
}

/** Greedy and drawn tokens, each row by itself. */
export async function* generate(folder, target) {
  const { cases, pad_token_id: pad } = json(join(folder, 'generate', 'cases.json'));
  const golden = await openSafetensors(join(folder, 'generate', 'batch.safetensors'));
  for (const ends of new Set(
    Object.values(cases).map(({ eos_token_id }) => JSON.stringify([...new Set(eos_token_id)])),
  )) {
    const dir = await mkdtemp(join(tmpdir(), 'segr1-golden-'));
    await cp(join(folder, TINY), dir, { recursive: true });
    await writeFile(
      join(dir, 'generation_config.json'),
      JSON.stringify({ eos_token_id: JSON.parse(ends), pad_token_id: pad }),
    );
    try {
      const found = await opened(dir, target, { train: 'none' }, async (policy) => {
        const rows = await storedRows(golden, policy.config);
        const own = Object.entries(cases).filter(
          ([, { eos_token_id }]) => JSON.stringify([...new Set(eos_token_id)]) === ends,
        );
        const all = [];
        for (const [name, options] of own) all.push(await written(policy, golden, rows, name, options));
        return all;
      });
      yield* found;
    } finally {
      await rm(dir, { recursive: true });
    }
  }
}

async function written(
  policy,
  golden,
  rows,
  name,
  { kind, temperature = 1, repetition_penalty: repetitionPenalty = 1, top_k: topK = 0, top_p: topP = 1 },
) {
  const width = golden.info(`${name}.tokens`).shape[1];
  const greedy = kind === 'greedy';
  const tokens = rowsOf(await integers(golden, `${name}.tokens`), width);
  const logProbs = greedy ? undefined : rowsOf(await golden.read(`${name}.logp`), width);
  const uniforms = greedy ? undefined : rowsOf(await golden.read(`${name}.u`), width);
  const [own, expected, logs, stored] = [[], [], [], []];
  for (const [r, { prompt, padding }] of rows.entries()) {
    // In the stored batch the penalty falls on the padding's id as well.
    if (repetitionPenalty !== 1 && padding > 0) continue;
    const [[one]] = await policy.generate({
      prompts: [prompt],
      group: 1,
      temperature: greedy ? 0 : temperature,
      maxTokens: width,
      ...(uniforms && { random: { uniforms: [Float32Array.from(uniforms[r])] } }),
      repetitionPenalty,
      topK,
      topP,
    });
    const end = tokens[r].findIndex((id) => policy.config.tokens.eos.includes(id));
    const length = end < 0 ? width : end + 1;
    own.push(...one.tokens);
    expected.push(...tokens[r].slice(0, length));
    // Behind the first token that differs the rest is of another text.
    const same = one.tokens.findIndex((id, t) => id !== tokens[r][t]);
    const alike = same < 0 ? Math.min(length, one.tokens.length) : same;
    logs.push(...one.logProbs.slice(0, alike));
    stored.push(...(logProbs?.[r].slice(0, alike) ?? []));
  }
  return {
    name,
    parts: {
      tokens: { own, golden: expected, exact: true },
      ...(logProbs ? { 'log-probs': { own: logs, golden: stored, allowed: 1e-4, alone: true } } : {}),
    },
  };
}

/** Losses and gradients of a step of GRPO, for all weights and for an adapter. */
export async function* train(folder, target) {
  const report = json(join(folder, 'train', 'train.json'));
  const batch = await openSafetensors(join(folder, 'train', 'batch.safetensors'));
  const rows = (objective) => trainRows(batch, report.group, objective);
  const kinds = [
    { kind: 'dapo', objective: dapo(0), options: {} },
    { kind: 'dapo', objective: dapo(0), options: { gradientCheckpointing: true } },
    ...['lora-language-only', 'lora'].map((kind) => ({
      kind,
      objective: segR1(0.04),
      options: { adapter: join(folder, 'train', kind) },
    })),
  ];
  for (const { kind, objective, options } of kinds) {
    const file = join(folder, 'train', `${kind}.safetensors`);
    const golden = existsSync(file) ? await openSafetensors(file) : undefined;
    const parts = await opened(join(folder, TINY), target, { batch: 2, ...options }, async (policy) => {
      const taught = await rows(objective);
      const loss = { objective };
      const { gradient, metrics } = await policy.gradient({ loss, rows: taught, temperature: 1 });
      const { norm, tensors } = await steppedOn(policy, gradient);
      const first = {
        loss: { own: [metrics.loss], golden: [report[kind].wd0[0].loss], allowed: 1e-5 },
        norm: { own: [norm], golden: [report[kind].wd0[0].grad_norm_before_clipping], allowed: 1e-5 },
        gradient: {
          own: await joined(
            tensors,
            tensors.names.filter((name) => name.startsWith(FIRST)),
          ),
          whole: true,
        },
        ...(await storedGradient(tensors, golden)),
      };
      // The same graphs once more.
      if (options.gradientCheckpointing) return first;
      const scores = await policy.scores({
        rows: taught.map((row) => ({ ...row, perToken: {}, perSample: {} })),
        temperature: 1,
      });
      const logProbs = { own: scores.flat(2), golden: await goldenScores(golden, kind, batch, taught), allowed: 2e-5 };
      return { ...first, 'log-probs': logProbs, 'three steps': { own: await threeSteps(policy, graph, taught) } };
    });
    yield { name: `${kind}${options.gradientCheckpointing ? ', layers computed again' : ''}`, parts };
  }
}

const FIRST = 'first.';

/**
 * Takes a step that changes no weight and keeps the whole gradient as the optimizer's first moment, which is read back
 * from where it is saved:
 * on a GPU the gradient comes to the host in no other way.
 */
async function steppedOn(policy, gradient) {
  const dir = await mkdtemp(join(tmpdir(), 'segr1-golden-'));
  try {
    const norm = await policy.step(gradient, { learningRate: 0, beta1: 0, maxNorm: Infinity }).catch(notFinite);
    await policy.save(join(dir, 'saved'));
    await policy.saveTraining(join(dir, 'saved'));
    const stored = await openSafetensors(join(dir, 'saved', 'optimizer.safetensors'));
    const values = new Map();
    for (const name of stored.names.filter((label) => label.startsWith(FIRST)))
      values.set(name, await stored.read(name));
    return { norm, tensors: { names: [...values.keys()], read: async (name) => values.get(name) } };
  } finally {
    await rm(dir, { recursive: true });
  }
}

/** A step that is refused changes nothing, and is told as NaN. */
function notFinite(error) {
  if (error instanceof NonFiniteError) return NaN;
  throw error;
}

async function joined(tensors, names) {
  const parts = await Promise.all(names.toSorted().map((name) => tensors.read(name)));
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The gradient by those weights of which it is stored. */
async function storedGradient(tensors, golden) {
  const stored =
    golden?.names.filter(
      (name) => name.includes('.grad.') && tensors.names.includes(FIRST + name.split('.grad.')[1]),
    ) ?? [];
  if (stored.length === 0) return {};
  const own = await joined(
    tensors,
    stored.map((name) => FIRST + name.split('.grad.')[1]),
  );
  return { 'gradient by some weights': { own, golden: await joined(golden, stored), whole: true } };
}

/** Losses and norms of steps that AdamW takes; how it goes on depends on what it did. */
async function threeSteps(policy, graph, taught) {
  const told = [];
  for (let step = 0; step < 3; step++) {
    const { gradient, metrics } = await policy.gradient({ loss, rows: taught, temperature: 1 });
    told.push(metrics.loss, await policy.step(gradient, { learningRate: 1e-3, maxNorm: 1, decays }).catch(notFinite));
  }
  return told;
}

/** Stored log-probs of a batch's completions, in the order of our rows; undefined where they are not stored. */
async function goldenScores(golden, kind, batch, taught) {
  const name = [`${kind}.logp`, 'merged.logp'].find((label) => golden?.has(label));
  if (name === undefined) return undefined;
  const width = batch.info('mask').shape[1];
  const ids = rowsOf(await integers(batch, 'completion_ids'), width).map((row) => `${row.join()},`);
  const stored = rowsOf(await golden.read(name), width);
  return taught.flatMap(({ completions }) =>
    completions.flatMap((own) => stored[ids.findIndex((row) => row.startsWith(`${own.join()},`))].slice(0, own.length)),
  );
}

/**
 * The stored micro-batch with each prompt once, its completions behind it, each token weighed as the objective has it.
 */
async function trainRows(batch, group, objective) {
  const length = batch.info('mask').shape[1];
  const width = batch.info('input_ids').shape[1];
  const lengths = rowsOf(await integers(batch, 'mask'), length).map((row) => row.reduce((sum, one) => sum + one, 0));
  const cut = (flat) => rowsOf(flat, length).map((row, i) => row.slice(0, lengths[i]));
  const spread = (weights) => lengths.map((n, i) => Array.from({ length: n }, () => weights[i]));
  const padding = rowsOf(await integers(batch, 'attention_mask'), width).map((row) => row.indexOf(1));
  const prompts = rowsOf(await integers(batch, 'input_ids'), width).map((row, i) =>
    row.slice(padding[i], width - length),
  );
  const perToken = {
    oldLogProbs: cut(await batch.read('old_logp')),
    refLogProbs: cut(await batch.read('ref_logp')),
    weight: spread(tokenWeights(lengths, objective.average)),
    share: spread(tokenWeights(lengths, 'token')),
  };
  const completions = cut(await integers(batch, 'completion_ids'));
  const advantages = await batch.read('advantages');
  const pixels = 'pixel_values_of_prompts';
  const images = imagesOf(
    await integers(batch, 'image_grid_thw_of_prompts'),
    await batch.read(pixels),
    batch.info(pixels).shape[1],
  );
  const keys = prompts.map((ids, i) => JSON.stringify([Math.floor(i / group), ids]));
  const groups = [...new Set(keys)].map((key) => [...keys.keys()].filter((i) => keys[i] === key));
  return groups.map((indices) => ({
    prompt: { text: '', tokens: prompts[indices[0]], images: [images[Math.floor(indices[0] / group)]] },
    completions: indices.map((i) => completions[i]),
    perToken: Object.fromEntries(Object.entries(perToken).map(([name, all]) => [name, indices.map((i) => all[i])])),
    perSample: { advantages: indices.map((i) => advantages[i]) },
  }));
}
