import type { Tensor } from '../tensor/graph.js';

/** What an objective is made from, [prompt, sample, token] unless said. */
export interface Terms {
  /** Of the written tokens, under the weights in training. */
  readonly logProbs: Tensor;
  /** Under the weights that the ratio is taken to: those that wrote them, or those that a step begins with. */
  readonly oldLogProbs: Tensor;
  /** Under the reference policy; only where the objective's KL coefficient is above 0. */
  readonly refLogProbs?: Tensor;
  /** As the sampler told them; only where the objective corrects what it got wrong. */
  readonly samplerLogProbs?: Tensor;
  /** 1 at tokens that count, 0 elsewhere. */
  readonly mask: Tensor;
  /** 1 at tokens that the advantage is taught at; only where the objective picks them by entropy. */
  readonly picked?: Tensor;
  /** [prompt, sample] */
  readonly advantages: Tensor;
}

/**
 * A loss and what is reported beside it: [prompt, sample, token], or [prompt, sample] where a completion's tokens share
 * one value.
 */
export interface Traced {
  /** To be minimised, at each token. */
  readonly loss: Tensor;
  /** Of which the step's mean is told. */
  readonly reports: Readonly<Record<string, Tensor>>;
  /** Of which the step's smallest is told where the name ends in `Min`, the largest where it ends in `Max`. */
  readonly extremes?: Readonly<Record<string, Tensor>>;
}

/**
 * How tokens are averaged over an optimizer step: `token`, every token of the step weighs the same; `sequence`, every
 * completion does;
 * `{ tokens }`, every completion's sum is divided by that number, whatever its length.
 */
export type Average = 'token' | 'sequence' | { readonly tokens: number };

/** A loss a token, and how tokens are averaged over an optimizer step. */
export interface Objective {
  /** With its numbers: two objectives of one name are one formula. */
  readonly name: string;
  /** Coefficient of the KL term; 0 needs no reference policy. */
  readonly kl: number;
  readonly average: Average;
  /** Whether it needs the sampler's log-probs beside the trainer's. */
  readonly corrects: boolean;
  /** Coefficient of the mean entropy, which is taken off the loss. */
  readonly entropyBonus: number;
  /** Share of tokens, by entropy, that the advantage is taught at; 1 is all. */
  readonly topEntropy: number;
  readonly trace: (terms: Terms) => Traced;
}

/**
 * What each token's loss is multiplied with, so that the sum over all micro-batches of a step is the objective's mean.
 *
 * @param lengths tokens of every completion of the step; one of none counts as a loss of 0, as TRL has it.
 * @returns one weight a completion; its tokens share it.
 */
export function tokenWeights(lengths: readonly number[], average: Average): number[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const weight = (length: number): number => {
    if (average === 'token') return 1 / total;
    return 1 / ((average === 'sequence' ? length : average.tokens) * lengths.length);
  };
  return lengths.map((length) => (length === 0 ? 0 : weight(length)));
}
