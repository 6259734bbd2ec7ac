import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import type { Gradient, TrainRow } from '../../src/models/policy.js';
import { saveWeights } from '../../src/models/vlm/checkpoint.js';
import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import { openPolicy } from '../../src/models/policies.js';
import type { VlmPolicy } from '../../src/models/vlm/policy.js';
import { promptInputs } from '../../src/models/vlm/prompt-loss.js';
import { findWeights, readWeights } from '../../src/models/vlm/weight-files.js';
import { gradientNorm } from '../../src/tensor/adamw.js';
import { agrees, batchImages, GRADIENT, named, type Summary } from './policy-batch.js';
import { farthest, folder, has, integers, json, rowsOf, stored } from './policy-cases.js';

const SFT = 'train/sft.safetensors';
const CHECKPOINT = join(folder, 'tiny-qwen2_5_vl');
const scratch: string[] = [];
afterAll(() => Promise.all(scratch.map((dir) => rm(dir, { recursive: true }))));

describe.skipIf(!has(SFT))(
  'prompts that are learned agree with torch (too large for the copy, so only where the full goldens are)',
  () => {
    it('in the loss and its gradient', async () => {
      const golden = await stored(SFT);
      const width = golden.info('input_ids').shape[1];
      const [ids, all, answers, attention] = await Promise.all(
        ['input_ids', 'labels.all', 'labels.answer', 'attention_mask'].map(async (name) =>
          rowsOf(await integers(golden, name), width),
        ),
      );
      const report = json<{
        sft: { all: { loss: number; labelled: number; grad_norm: number; grad_sum_and_norm: Summary } };
      }>('train/train.json').sft.all;
      const images = await batchImages();
      const padding = attention.map((row) => row.indexOf(1));

      const { config, learned } = await learning(
        CHECKPOINT,
        report.labelled,
        ids.map((row, r) => ({
          tokens: row.slice(padding[r]),
          prompt: answers[r].findIndex((id) => id >= 0) - padding[r],
          images: [images[r]],
        })),
      );
      // A row's first token is foretold from its padding, if it has some. Torch lets padding see nothing, itself
      // included: its attention is 0.
      const firsts = ids.flatMap((row, r) =>
        padding[r] > 0 ? [{ tokens: row.slice(padding[r] - 1, padding[r] + 1), prompt: 1, images: [] }] : [],
      );
      const fromPadding =
        firsts.length > 0 ? (await learning(await withoutAttention(), report.labelled, firsts)).learned : undefined;

      expect(all.flat().filter((id) => id >= 0).length - padding.filter((pads) => pads === 0).length).toBe(
        report.labelled,
      );
      expect(learned.metrics['loss'] + (fromPadding?.metrics['loss'] ?? 0)).toBeCloseTo(report.loss, 5);
      const gradient = learned.gradient.map((value, i) => value + (fromPadding?.gradient[i] ?? 0));
      expect(gradientNorm(gradient) / report.grad_norm).toBeCloseTo(1, 4);
      const parts = named(config, gradient);
      for (const [name, [sum, norm]] of Object.entries(report.grad_sum_and_norm)) {
        agrees(parts[name], sum, norm, name, 1e-4 * norm);
        if (golden.has(`all.grad.${name}`))
          expect(farthest(parts[name], await golden.read(`all.grad.${name}`), GRADIENT.floor), name).toBeLessThan(
            GRADIENT.relative,
          );
      }
      expect(Object.keys(parts).toSorted()).toEqual(Object.keys(report.grad_sum_and_norm).toSorted());
    });
  },
);

/**
 * What a checkpoint learns from rows, prompts and all, of which the first `prompt` tokens are the prompt; each token
 * counts one in `labelled`.
 */
async function learning(
  checkpoint: string,
  labelled: number,
  rows: readonly (Pick<TrainRow['prompt'], 'tokens' | 'images'> & { readonly prompt: number })[],
): Promise<{ config: VlmPolicy['config']; learned: Gradient }> {
  const policy = await openPolicy(checkpoint, { workers: 1, threads: 1, batch: 2, suppressed: [] });
  try {
    const lessons = rows.map(({ tokens, prompt: length, images }): TrainRow => {
      const prompt = { text: '', tokens: tokens.slice(0, length), images };
      const { promptWeight, promptTargets } = promptInputs(policy.config, prompt);
      const completion = tokens.slice(length);
      return {
        prompt,
        completions: [completion],
        perToken: { weight: [completion.map(() => 1 / labelled)] },
        perPrompt: { promptWeight: promptWeight.map((one) => one / labelled), promptTargets },
      };
    });
    return {
      config: policy.config,
      learned: await policy.gradient({
        loss: { supervised: { patchMask: 0, softNumbers: 0, prompt: 'learned' } },
        rows: lessons,
        temperature: 1,
      }),
    };
  } finally {
    await policy.release();
  }
}

/**
 * The checkpoint with attention that gives 0 whatever it sees, and passes no gradient on: values of 0, and an output of
 * 0.
 */
async function withoutAttention(): Promise<string> {
  const files = await findWeights(CHECKPOINT, await readConfig(CHECKPOINT));
  const store = await readWeights(files);
  const silent = store.layout.entries.filter(({ name }) =>
    /^model\.layers\.\d+\.self_attn\.(v_proj|o_proj)\./.test(name),
  );
  for (const { offset, length } of silent) store.values.fill(0, offset, offset + length);
  const dir = await mkdtemp(join(tmpdir(), 'segr1-prompts-'));
  scratch.push(dir);
  await saveWeights(files, join(dir, 'saved'), store);
  return join(dir, 'saved');
}
