import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import type { TrainRow } from '../../src/models/policy.js';
import { openQwen } from '../../src/models/qwen/policy.js';
import { learningPrompts, promptInputs } from '../../src/models/qwen/prompt-loss.js';
import { supervisedGraph } from '../../src/models/qwen/supervised.js';
import { batchImages } from './policy-batch.js';
import { folder, has, integers, json, rowsOf, stored } from './policy-cases.js';

const SFT = 'train/sft.safetensors';
describe.skipIf(!has(SFT))('prompts that are learned agree with torch (too large for the copy, so only where the full goldens are)', () => {
  it('in the loss', async () => {
    const golden = await stored(SFT);
    const width = golden.info('input_ids').shape[1];
    const [ids, all, answers, attention] = await Promise.all(['input_ids', 'labels.all', 'labels.answer', 'attention_mask'].map(async (name) => rowsOf(await integers(golden, name), width)));
    const { loss, labelled } = json<{ sft: { all: { loss: number; labelled: number } } }>('train/train.json').sft.all;
    const policy = await openQwen(join(folder, 'tiny-qwen2_5_vl'), { workers: 1, threads: 1, batch: 2, suppressed: [] });
    const images = await batchImages();
    const rows = ids.map((row, r): TrainRow => {
      const first = answers[r].findIndex((id) => id >= 0);
      const prompt = { ...policy.encode({}), tokens: row.slice(attention[r].indexOf(1), first), images: [images[r]] };
      const { promptWeight, promptTargets } = promptInputs(policy.config, prompt);
      const completion = row.slice(first);
      return { prompt, completions: [completion], perToken: { weight: [completion.map(() => 1)] }, perPrompt: { promptWeight, promptTargets } };
    });
    const { metrics } = await policy.gradient(learningPrompts(policy.config, supervisedGraph(policy.config, policy.tokenizer, { patchMask: 0, softNumbers: 0 })), rows, 1);
    const counted = rows.reduce((sum, { completions: [answer], perPrompt }) => sum + answer.length + (perPrompt?.['promptWeight'] ?? new Float32Array()).reduce((n, w) => n + w, 0), 0);
    const padded = attention.filter((row) => row[0] === 0).length;
    expect(all.flat().filter((id) => id >= 0).length).toBe(counted + rows.length);
    expect(counted + padded).toBe(labelled);
    // Torch also foretells the first token of a padded row, from its padding; all others are the same.
    const fromPadding = loss * labelled - metrics['loss'];
    if (padded === 0) expect(fromPadding).toBeCloseTo(0, 2);
    expect(fromPadding).toBeGreaterThan(padded === 0 ? -0.01 : 0);
    expect(fromPadding).toBeLessThan(0.01 + padded * 2 * Math.log(policy.config.text.vocab));
    await policy.release();
  });
});
