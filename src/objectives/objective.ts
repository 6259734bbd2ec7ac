import type { Tensor } from '../tensor/graph.js';

/** What an objective is made from, [prompt, sample, token] unless said. */
export interface Terms {
  /** Of the written tokens, under the weights in training. */
  readonly logProbs: Tensor;
  /** Under the weights that wrote them. */
  readonly oldLogProbs: Tensor;
  /** Under the reference policy; only where the objective's KL coefficient is above 0. */
  readonly refLogProbs?: Tensor;
  /** [prompt, sample] */
  readonly advantages: Tensor;
}

/** A loss a token, and how tokens are averaged over an optimizer step. */
export interface Objective {
  /** With its numbers: two objectives of one name are one formula. */
  readonly name: string;
  /** Coefficient of the KL term; 0 needs no reference policy. */
  readonly kl: number;
  /** `token`: every token of the step weighs the same; `sequence`: every completion does. */
  readonly average: 'token' | 'sequence';
  /** To be minimised, [prompt, sample, token]. */
  loss(terms: Terms): Tensor;
}

/**
 * What each token's loss is multiplied with, so that the sum over all micro-batches of a step is the objective's mean.
 *
 * @param lengths tokens of every completion of the step; one of none counts as a loss of 0, as TRL has it.
 * @returns one weight a completion; its tokens share it.
 */
export function tokenWeights(lengths: readonly number[], average: Objective['average']): number[] {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return lengths.map((length) => (length === 0 ? 0 : average === 'token' ? 1 / total : 1 / (length * lengths.length)));
}
