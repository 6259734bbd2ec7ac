import type { OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { defined } from '../defined.js';
import { DataError } from '../errors.js';
import type { EncodedPrompt, Policy, GeneratedCompletion } from '../models/policy.js';
import type { ReadImage } from '../models/segmenter.js';
import { hash } from '../random.js';
import type { RolledOut, Sample, SamplingOptions } from '../records.js';
import { orMarked, pixelsOf } from './faults.js';
import { inOrder } from '../streams/in-order.js';
import { batcher } from '../streams/batcher.js';

export const RolloutOptions = z.strictObject({
  /** Completions for each prompt. */
  group: z.int().min(1).default(8),
  /** Divides the logits; 0 writes the likeliest token. */
  temperature: z.number().min(0).default(1),
  maxTokens: z.int().min(1).default(256),
  /** Makes tokens of the prompt or the completion rarer; 1 is off. */
  repetitionPenalty: z.number().positive().default(1),
  /** Draws among this many of the likeliest; 0 among all. */
  topK: z.int().min(0).default(0),
  /** Drops the least likely tokens whose probabilities sum to at most 1 - topP. */
  topP: z.number().gt(0).max(1).default(1),
  /** Drops tokens less likely than this share of the likeliest. */
  minP: z.number().min(0).max(1).default(0),
  /** Whether completions come with their tokens' `entropies`. */
  entropy: z.boolean().default(false),
  /** Runs of the policy in flight at once. */
  inflight: z.int().min(1).default(2),
});
export type RolloutOptions = z.input<typeof RolloutOptions>;

/** What a rollout works with. */
export interface RolloutContext {
  readonly policy: Policy;
  readonly readImage: ReadImage;
  /** Key of every random draw. */
  readonly seed: number;
}

/**
 * Adds `completions`: what the policy writes about each row, `group` times, and the `sampling` options that it was
 * drawn with.
 *
 * Draws depend on the seed, the row's id, the completion and the token alone, so batching changes nothing. Rows whose
 * image can't be read are marked, and those of which the policy computes infinities or NaN.
 */
export function rollout<T extends Sample>(
  { policy, readImage, seed }: RolloutContext,
  options: RolloutOptions = {},
): OperatorFunction<T, T & RolledOut> {
  const { inflight, ...writing } = RolloutOptions.parse(options);
  const { temperature, repetitionPenalty, topK, topP, minP, maxTokens } = writing;
  const sampling: SamplingOptions = { temperature, repetitionPenalty, topK, topP, minP, maxTokens };

  const write = batcher<Asked, readonly GeneratedCompletion[]>(policy.batch, (asked) =>
    policy.generate({
      ...writing,
      prompts: asked.map(({ prompt }) => prompt),
      random: { keys: asked.map(({ id }) => [hash('rollout', seed, id)]) },
    }),
  );

  const rolledOut = (row: T): Promise<T & RolledOut> =>
    orMarked('rollout', row, async () => {
      const prompt = policy.encode(row, await pixelsOf(readImage, row));
      const written = await write({ id: row.id, prompt });
      finiteLogProbs(written);
      const completions = written.map(({ tokens, logProbs, finish, entropies }) => ({
        text: policy.decode(tokens),
        tokens,
        logProbs,
        finish,
        ...defined({ entropies }),
      }));
      // Completions of one prompt are written in one run.
      const [{ version: policyVersion } = { version: policy.version }] = written;
      return { ...row, prompt: prompt.text, promptTokens: prompt.tokens, completions, policyVersion, sampling };
    });
  return inOrder(rolledOut, policy.batch * inflight);
}

/** @throws {DataError} for a log-prob that is none: what was drawn with it is no completion. */
export function finiteLogProbs(written: readonly GeneratedCompletion[]): void {
  const logProb = written.flatMap(({ logProbs }) => logProbs).find((value) => !Number.isFinite(value));
  if (logProb !== undefined)
    throw new DataError(
      `policy  log-probs: expected finite numbers; got ${logProb}; way out: precision: float32, or other weights`,
    );
}

interface Asked {
  readonly id: string;
  readonly prompt: EncodedPrompt;
}
