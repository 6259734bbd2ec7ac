import { openObjective } from '../../objectives/spec.js';
import type { Loss } from '../policy.js';
import type { QwenConfig } from '../qwen2_5_vl/config.js';
import { learningPrompts } from './prompt-loss.js';
import { supervisedGraph } from './supervised.js';
import type { Tokenizer } from './tokenizer.js';
import { objectiveGraph, type TrainGraph } from './train.js';

/**
 * The training graph of a loss.
 *
 * @throws {UsageError} for an objective that there isn't, or of other options.
 */
export async function trainGraphOf(loss: Loss, config: QwenConfig, tokenizer: Tokenizer): Promise<TrainGraph> {
  if ('objective' in loss) return objectiveGraph(await openObjective(loss.objective));
  const graph = supervisedGraph(config, tokenizer, loss.supervised);
  return loss.supervised.prompt === 'learned' ? learningPrompts(config, graph) : graph;
}
