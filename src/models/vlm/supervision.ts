import type { Supervision, SupervisionOptions } from '../policy.js';
import type { VlmConfig } from './architecture.js';
import { learningPrompts, promptInputs } from './prompt-loss.js';
import { supervisedGraph, supervisedInputs } from './supervised.js';
import type { Tokenizer } from './tokenizer.js';
import type { TrainGraph } from './train.js';

/** The loss on written answers, and on their prompts where those are learned; with the inputs of each row. */
export function supervisionOf(
  config: VlmConfig,
  tokenizer: Tokenizer,
  options: SupervisionOptions,
): Supervision<TrainGraph> {
  const learned = options.prompt === 'learned';
  const graph = supervisedGraph(config, tokenizer, options);
  return {
    graph: learned ? learningPrompts(config, graph) : graph,
    inputs(row, prompt, answer) {
      const { perToken, perPrompt } = supervisedInputs(config, tokenizer, options, row, prompt, answer);
      return { perToken, perPrompt: { ...perPrompt, ...(learned && promptInputs(config, prompt)) } };
    },
  };
}
