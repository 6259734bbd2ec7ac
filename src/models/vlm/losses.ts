import { openObjective } from '../../objectives/spec.js';
import type { Fitted } from '../../records.js';
import type { EncodedPrompt, Loss, SupervisedLoss, TrainRow } from '../policy.js';
import type { VlmConfig } from './architecture.js';
import { learningPrompts, promptInputs } from './prompt-loss.js';
import { supervisedGraph, supervisedInputs } from './supervised.js';
import type { Tokenizer } from './tokenizer.js';
import { objectiveGraph, type TrainGraph } from './train.js';

/**
 * The training graph of a loss.
 *
 * @throws {UsageError} for an unknown objective, or options that it does not have.
 */
export async function trainGraphOf(loss: Loss, config: VlmConfig, tokenizer: Tokenizer): Promise<TrainGraph> {
  if ('objective' in loss) return objectiveGraph(await openObjective(loss.objective));
  const graph = supervisedGraph(config, tokenizer, loss.supervised);
  return loss.supervised.prompt === 'learned' ? learningPrompts(config, graph) : graph;
}

/** A supervised loss's further inputs for a row. */
export function supervisedInputsOf(
  config: VlmConfig,
  tokenizer: Tokenizer,
  loss: SupervisedLoss,
  row: Fitted,
  prompt: EncodedPrompt,
  answer: readonly number[],
): Pick<TrainRow, 'perToken' | 'perPrompt'> {
  const { perToken, perPrompt } = supervisedInputs(config, tokenizer, loss, row, prompt, answer);
  return { perToken, perPrompt: { ...perPrompt, ...(loss.prompt === 'learned' && promptInputs(config, prompt)) } };
}
