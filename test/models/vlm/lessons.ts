import { expect } from 'vitest';

import type { EncodedPrompt, GenerateRequest, Loss, TrainRow } from '../../../src/models/policy.js';
import type { VlmPolicy } from '../../../src/models/vlm/policy.js';
import { hash, uniform } from '../../../src/random.js';
import type { Image } from '../../../src/records.js';

export const loss: Loss = { objective: { name: 'grpo', options: { kl: 0.04 } } };
export const settings = { learningRate: 1e-3, maxNorm: 1 };

export function picture(seed: number, side = 56): Image {
  return {
    width: side,
    height: side,
    data: Uint8Array.from({ length: 3 * side * side }, (_, i) => hash(seed, i >> 6) & 255),
  };
}

/** Prompts of unequal lengths, the first and last of one grid, one without an image. */
export function prompts(policy: VlmPolicy): EncodedPrompt[] {
  return [
    policy.encode({ instruction: 'it' }, picture(1)),
    policy.encode({ instruction: 'the large bird on the left of the other one' }, picture(2)),
    policy.encode({ instruction: 'nothing' }),
    policy.encode(
      { instruction: 'a wide thing' },
      { width: 112, height: 56, data: picture(3, 112).data.slice(0, 3 * 112 * 56) },
    ),
    policy.encode({ instruction: 'the bird' }, picture(4)),
  ];
}

/** Groups of `samples` completions of unequal lengths, with numbers that make every term of the loss count. */
export function lessons(policy: VlmPolicy, samples: number, asked = prompts(policy)): TrainRow[] {
  const lengths = asked.map((_, p) => Array.from({ length: samples }, (__, s) => 1 + (hash('length', p, s) % 9)));
  const tokens = lengths.flat().reduce((sum, n) => sum + n, 0);
  return asked.map((prompt, p) => {
    const each = (value: (s: number, t: number) => number): number[][] =>
      lengths[p].map((n, s) => Array.from({ length: n }, (_, t) => value(s, t)));
    return {
      prompt,
      completions: each((s, t) => hash('token', p, s, t) % 500),
      perToken: {
        oldLogProbs: each((s, t) => -6 - uniform('old', p, s, t)),
        refLogProbs: each((s, t) => -6 - uniform('reference', p, s, t)),
        weight: each((s) => 1 / (lengths[p][s] * samples * asked.length)),
        share: each(() => 1 / tokens),
      },
      perSample: { advantages: lengths[p].map((_, s) => uniform('advantage', p, s) - 0.5) },
    };
  });
}

/** Every completion behind a prompt of its own. */
export function apart(rows: readonly TrainRow[]): TrainRow[] {
  return rows.flatMap(({ prompt, completions, perToken, perSample }) =>
    completions.map((tokens, s) => ({
      prompt,
      completions: [tokens],
      perToken: Object.fromEntries(Object.entries(perToken).map(([name, values]) => [name, [values[s]]])),
      perSample: Object.fromEntries(Object.entries(perSample ?? {}).map(([name, values]) => [name, [values[s]]])),
    })),
  );
}

/** Largest difference, as a share of the largest value. */
export function apartBy(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  let [most, largest] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    most = Math.max(most, Math.abs(a[i] - b[i]));
    largest = Math.max(largest, Math.abs(b[i]));
  }
  return most / largest;
}

/** How prompts are written behind. */
export type Writing = Omit<GenerateRequest, 'prompts' | 'random'>;

export const writing: Writing = { group: 3, temperature: 1, maxTokens: 12 };

/** A request for completions, whose draws depend on the prompt's place, the completion and the token. */
export function asking(asked: readonly EncodedPrompt[], how: Writing, key = 'draw'): GenerateRequest {
  return { ...how, prompts: asked, random: { keys: asked.map((_, p) => [key, p]) } };
}
