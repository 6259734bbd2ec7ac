import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { fixturesFolder } from '../../golden/golden.js';
import { openSafetensors } from '../../../src/io/safetensors.js';
import { openPolicy } from '../../../src/models/policies.js';
import type { Precision } from '../../../src/tensor/graph.js';
import { goldenRows, promptOf } from '../../golden/policy-cases.js';

type Rows = readonly (readonly number[])[];

/**
 * Made by scripts/bfloat16-reference.py of the committed checkpoints: log-probs of each next token, padding left out.
 */
const reference = JSON.parse(readFileSync(new URL('../../fixtures/bfloat16.json', import.meta.url), 'utf8')) as {
  readonly logProbs: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, Rows>>>>>>;
};
const root = join(fixturesFolder(), 'policy');
const checkpoints = Object.keys(reference.logProbs);

/**
 * Log-probs of every case's tokens behind each row's last image, one behind the other, of a checkpoint in a precision;
 * and transformers' of the same tokens.
 */
async function all(
  checkpoint: string,
  precision: Precision,
): Promise<{ readonly own: number[]; readonly theirs: (kernel: string) => number[] }> {
  const policy = await openPolicy(join(root, checkpoint), {
    workers: 1,
    threads: 1,
    batch: 1,
    train: 'none',
    suppressed: [],
    precision,
  });
  try {
    const own: number[] = [];
    const cut: { readonly name: string; readonly from: readonly number[] }[] = [];
    for (const name of Object.keys(reference.logProbs[checkpoint] ?? {})) {
      const prompts = (
        await goldenRows(await openSafetensors(join(root, 'forward', `${name}.safetensors`)), policy.config)
      ).map(promptOf);
      const from = prompts.map(({ tokens }) => Math.max(1, tokens.lastIndexOf(policy.config.tokens.image) + 2));
      const rows = prompts.map(({ tokens, ...prompt }, i) => ({
        prompt: { ...prompt, tokens: tokens.slice(0, from[i]) },
        completions: [tokens.slice(from[i])],
        perToken: {},
      }));
      own.push(...(await policy.scores({ rows, temperature: 1 })).flat(2));
      cut.push({ name, from });
    }
    const rows = (name: string, kernel: string): Rows => reference.logProbs[checkpoint]?.[name]?.[kernel] ?? [];
    const theirs = (kernel: string): number[] =>
      cut.flatMap(({ name, from }) => rows(name, kernel).flatMap((row, r) => row.slice(from[r] - 1)));
    return { own, theirs };
  } finally {
    await policy.release();
  }
}

/** Root mean square of the differences. */
function apart(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length);
}

describe.each(checkpoints)('%s', (checkpoint) => {
  it('in bfloat16 is to transformers in bfloat16 about as its two kernels are to each other, and nearer to float32 than they are', async () => {
    const { own, theirs } = await all(checkpoint, 'bfloat16');
    const [eager, sdpa, exact] = [theirs('bfloat16.eager'), theirs('bfloat16.sdpa'), theirs('float32.eager')];
    const rounding = apart(own, exact);
    expect(own.length).toBeGreaterThan(100);
    expect(rounding).toBeGreaterThan(0);
    expect(rounding).toBeLessThan(Math.min(apart(eager, exact), apart(sdpa, exact)));
    // Those two share most of their rounding; of two that share none, half as much again is expected.
    expect(Math.min(apart(own, eager), apart(own, sdpa))).toBeLessThan(1.5 * apart(eager, sdpa));
  });

  it('in float16 is nearer to float32 than in bfloat16, by the three bits that it has more', async () => {
    const [wide, narrow] = [await all(checkpoint, 'bfloat16'), await all(checkpoint, 'float16')];
    const exact = wide.theirs('float32.eager');
    expect(apart(narrow.own, exact)).toBeLessThan(apart(wide.own, exact) / 4);
  });
});
