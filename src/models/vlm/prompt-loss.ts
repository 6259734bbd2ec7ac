import { add, cast, constant, input, lift, mul, neg, pick, rename, slice, total } from '../../tensor/ops.js';
import type { Tensor } from '../../tensor/graph.js';
import type { EncodedPrompt } from '../policy.js';
import { promptLength } from './batch.js';
import type { VlmConfig } from './architecture.js';
import { scoring } from './scores.js';
import type { TrainGraph } from './train.js';

/**
 * The same loss with cross-entropy on the prompts added.
 *
 * Inputs beside the graph's own: `promptWeight` and `promptTargets`, float32 [prompt, place].
 */
export function learningPrompts(config: VlmConfig, graph: TrainGraph): TrainGraph {
  return {
    ...graph,
    name: `${graph.name} and prompts`,
    build(reading, shape) {
      const { loss, ...reported } = graph.build(reading, shape);
      const ahead = (name: string): Tensor =>
        rename(
          slice(input(name, 'float32', { prompt: shape.prompts, place: shape.tokens }), 'place', 1, shape.tokens - 1),
          { place: 'token' },
        );
      const hidden = lift(slice(reading.prefix.hidden, 'token', 0, shape.tokens - 1), 'sample');
      const score = scoring(reading.weights, config, {
        hidden,
        written: lift(cast(ahead('promptTargets'), 'int64'), 'sample'),
        temperature: constant([1], {}),
        suppressed: [],
        logits: shape.logits,
      });
      const exact = score((all, own) => ({ logProbs: pick(all, 'vocab', own) })).logProbs;
      const told = neg(total(mul(exact, lift(ahead('promptWeight'), 'sample'))));
      return { loss: add(loss, told), ...reported, ...(reported['nll'] && { nll: add(reported['nll'], told) }) };
    },
  };
}

/**
 * Inputs of `learningPrompts` for one prompt: 1 at each token except the first, which has no context, and image
 * placeholders.
 */
export function promptInputs(
  { tokens: { image, pad } }: VlmConfig,
  { tokens }: EncodedPrompt,
): { promptWeight: Float32Array; promptTargets: Float32Array } {
  const length = promptLength(tokens.length);
  const pads = length - tokens.length;
  return {
    promptWeight: Float32Array.from({ length }, (_, i) => (i > pads && tokens[i - pads] !== image ? 1 : 0)),
    promptTargets: Float32Array.from({ length }, (_, i) => tokens[i - pads] ?? pad),
  };
}
