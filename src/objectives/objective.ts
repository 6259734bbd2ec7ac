import type { Tensor } from '../tensor/graph.js';

/** Terms of an objective, by default [prompt, sample, token]. */
export interface Terms {
  /** Of the written tokens, under the weights in training. */
  readonly logProbs: Tensor;
  /** Old log-probs of the ratio: under the weights that wrote the tokens, or those before the step. */
  readonly oldLogProbs: Tensor;
  /** Under the reference policy; only where the objective's KL coefficient is above 0. */
  readonly refLogProbs?: Tensor;
  /** The sampler's; only if the objective corrects the mismatch. */
  readonly samplerLogProbs?: Tensor;
  /** 1 at tokens that count, 0 elsewhere. */
  readonly mask: Tensor;
  /** 1 at tokens that the advantage applies to; only if the objective picks them by entropy. */
  readonly picked?: Tensor;
  /** [prompt, sample] */
  readonly advantages: Tensor;
}

/**
 * A loss and what is reported beside it: [prompt, sample, token], or [prompt, sample] where a completion's tokens share
 * one value.
 */
export interface Traced {
  /** The loss at each token. */
  readonly loss: Tensor;
  /** Reported as the step's mean. */
  readonly reports: Readonly<Record<string, Tensor>>;
  /** Reported as the step's smallest if the name ends in `Min`, the largest if in `Max`. */
  readonly extremes?: Readonly<Record<string, Tensor>>;
}

/**
 * How tokens are averaged over an optimizer step: `token`, every token of the step weighs the same; `sequence`, every
 * completion does; `{ tokens }`, every completion's sum is divided by that number, for any length.
 */
export type Average = 'token' | 'sequence' | { readonly tokens: number };

/** A loss a token, and how tokens are averaged over an optimizer step. */
export interface Objective {
  /** Includes its options: objectives with one name have one formula. */
  readonly name: string;
  /** Coefficient of the KL term; 0 needs no reference policy. */
  readonly kl: number;
  readonly average: Average;
  /** Whether it needs the sampler's log-probs beside the trainer's. */
  readonly corrects: boolean;
  /** Coefficient of the mean entropy, which is subtracted from the loss. */
  readonly entropyBonus: number;
  /** Share of tokens, by entropy, that the advantage applies to; 1 is all. */
  readonly topEntropy: number;
  readonly trace: (terms: Terms) => Traced;
}

/**
 * Factors of token losses, so that the sum over all microbatches of a step is the objective's mean.
 *
 * @param lengths tokens of every completion of the step; an empty one counts as a loss of 0, as in TRL.
 * @returns one weight for each completion, shared by its tokens.
 */
export function tokenWeights(lengths: readonly number[], average: Average): number[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const weight = (length: number): number => {
    if (average === 'token') return 1 / total;
    return 1 / ((average === 'sequence' ? length : average.tokens) * lengths.length);
  };
  return lengths.map((length) => (length === 0 ? 0 : weight(length)));
}
