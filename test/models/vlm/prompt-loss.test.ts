import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import type { TrainRow } from '../../../src/models/policy.js';
import { openPolicy } from '../../../src/models/policies.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { promptInputs } from '../../../src/models/vlm/prompt-loss.js';
import { fixturesFolder } from '../../golden/golden.js';

const dir = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');
const open = (tokens?: number): Promise<VlmPolicy> =>
  openPolicy(dir, { workers: 1, threads: 1, batch: 3, suppressed: [], ...(tokens === undefined ? {} : { tokens }) });
const plain = { patchMask: 0, softNumbers: 0 };

/** A row that is taught its answer, each token by the same weight. */
const taught = (policy: VlmPolicy, words: string, answer: string, weight: number): TrainRow => {
  const completion = policy.encodeAnswer(answer);
  return {
    prompt: { ...policy.encode({}), text: '', tokens: policy.tokenizer.encode(words) },
    completions: [completion],
    perToken: { weight: [completion.map(() => weight)] },
  };
};

describe('learningPrompts', () => {
  let policy: VlmPolicy;
  beforeAll(async () => void (policy = await open()));
  afterAll(() => policy.release());

  it('is the loss of the same tokens as an answer, but for the first', async () => {
    const row = taught(policy, 'Identify and segment all the primary objects.', 'in the centre', 0.1);
    const { promptWeight, promptTargets } = promptInputs(policy.config, row.prompt);
    const learned = { ...row, perPrompt: { promptWeight: promptWeight.map((w) => 0.1 * w), promptTargets } };
    const [first, ...others] = row.prompt.tokens;
    const moved = [...others, ...row.completions[0]];
    const answered: TrainRow = {
      prompt: { ...row.prompt, tokens: [first] },
      completions: [moved],
      perToken: { weight: [moved.map(() => 0.1)] },
    };
    const [own, expected] = [
      await policy.gradient({ loss: { supervised: { ...plain, prompt: 'learned' } }, rows: [learned], temperature: 1 }),
      await policy.gradient({ loss: { supervised: plain }, rows: [answered], temperature: 1 }),
    ];
    expect(own.metrics['loss']).toBeCloseTo(expected.metrics['loss'], 4);
    expect(own.metrics['nll']).toBe(own.metrics['loss']);
    const worst = own.gradient.reduce((most, value, i) => Math.max(most, Math.abs(value - expected.gradient[i])), 0);
    const largest = expected.gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(worst / largest).toBeLessThan(1e-4);
  });

  it('leaves out padding, the first token and what stands for the image', () => {
    const { image, pad } = policy.config.tokens;
    const { promptWeight, promptTargets } = promptInputs(policy.config, {
      ...policy.encode({}),
      tokens: [5, 6, image, image, 7],
    });
    expect([...promptWeight]).toEqual([0, 0, 0, 0, 1, 0, 0, 1]);
    expect([...promptTargets]).toEqual([pad, pad, pad, 5, 6, image, image, 7]);
  });
});

describe('runs of so many tokens', () => {
  it('give the loss and gradient of larger ones', async () => {
    const got = [];
    for (const tokens of [undefined, 64]) {
      const policy = await open(tokens);
      const rows = ['a', 'a much longer answer than any of the others, by far', 'b b', 'c'].map((answer, i) =>
        taught(policy, i === 3 ? 'Segment it' : 'Segment this', answer, 0.05),
      );
      got.push(await policy.gradient({ loss: { supervised: plain }, rows, temperature: 1 }));
      await policy.release();
    }
    const [whole, cut] = got;
    expect(cut.metrics['loss']).toBeCloseTo(whole.metrics['loss'], 5);
    const largest = whole.gradient.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    expect(
      cut.gradient.reduce((most, value, i) => Math.max(most, Math.abs(value - whole.gradient[i])), 0) / largest,
    ).toBeLessThan(1e-5);
  });
});
