import { trace, type Graph } from '../../tensor/engine.js';
import type { Precision, Tensor } from '../../tensor/graph.js';
import {
  and,
  append,
  cast,
  constant,
  dims,
  empty,
  equal,
  expand,
  gather,
  greater,
  input,
  iota,
  loop,
  max,
  not,
  or,
  where,
} from '../../tensor/ops.js';
import type { Sampling } from '../policy.js';
import type { Memory } from './attention.js';
import type { VlmConfig } from './architecture.js';
import { policyWeights } from './lora.js';
import { PLAIN_BUILD, type Build } from './build.js';
import { readPrefix, type Prefix, type PrefixShape } from './prefix.js';
import { draw, greedy, penalise, suppress } from './sample.js';
import { decoder, embed, head } from './decoder.js';
import type { Weights } from './weights.js';

/** The shape of a rollout's graph. */
export interface RolloutShape extends PrefixShape, Sampling {
  /** Completions for each prompt. */
  readonly samples: number;
  readonly maxTokens: number;
  /** The likeliest token instead of a draw. */
  readonly greedy: boolean;
  /** Ids that are never written. */
  readonly suppressed: readonly number[];
  /** Ids that end a completion. */
  readonly ends: readonly number[];
}

/**
 * A whole rollout as one graph: the prompts are read once, then a loop with a key-value cache writes all completions.
 *
 * Besides the prefix's inputs: `nextCos` and `nextSin` [prompt, own, half] for the tokens to be written, `uniforms`
 * [prompt, sample, own], `temperature`; with a repetition penalty `seen` from `seenIds`. Outputs: `written` int64,
 * `logProbs` and on request `entropies`, [step, prompt, sample]; the pad id and 0 after a completion's end.
 */
export function rolloutGraph(
  config: VlmConfig,
  shape: RolloutShape,
  { adapter, held, blocks, precision }: Build = PLAIN_BUILD,
): Graph {
  const { weights } = policyWeights(config, adapter, [], held);
  return trace(`rollout ${JSON.stringify(shape)}`, precision, () =>
    write(weights, config, shape, readPrefix(weights, config, shape, { blocks }), precision),
  );
}

interface State extends Readonly<Record<string, Tensor>> {
  /** [prompt, sample, vocab]: of the token to be written next. */
  readonly logits: Tensor;
  /** bool [prompt, sample] */
  readonly alive: Tensor;
  /** bool [prompt, sample, vocab]: ids of the prompt and the completion; with a repetition penalty. */
  readonly seen?: Tensor;
}

function write(
  weights: Weights,
  config: VlmConfig,
  shape: RolloutShape,
  prefix: Prefix,
  precision: Precision,
): Readonly<Record<string, Tensor>> {
  const { prompts: prompt, samples: sample, maxTokens: own, repetitionPenalty: penalty = 1 } = shape;
  const { kvHeads: kv, headDim: hd, vocab } = config.text;
  const next = {
    cos: input('nextCos', 'float32', { prompt, own, half: hd / 2 }),
    sin: input('nextSin', 'float32', { prompt, own, half: hd / 2 }),
  };
  const chances = shape.greedy
    ? undefined
    : {
        uniforms: input('uniforms', 'float32', { prompt, sample, own }),
        temperature: input('temperature', 'float32', {}),
      };
  // Keys and values are kept in the format of products.
  const nothing = cast(empty({ prompt, kv, sample, key: own, hd }, 'key'), precision);
  const caches = Object.fromEntries(
    prefix.memory.flatMap((_, i) => [
      [`keys${i}`, nothing],
      [`values${i}`, nothing],
    ]),
  );
  const initial: State = {
    logits: expand(head(weights, config, prefix.last), dims({ prompt, sample, vocab })),
    alive: expand(constant(Uint8Array.of(1), {}), dims({ prompt, sample })),
    ...(penalty === 1
      ? {}
      : { seen: expand(input('seen', 'bool', { prompt, vocab }), dims({ prompt, sample, vocab })) }),
    ...caches,
  };
  const { collected } = loop(own, initial, (turn, state) => {
    const logits = suppress(state.seen ? penalise(state.logits, state.seen, penalty) : state.logits, shape.suppressed);
    const drawn = chances
      ? draw(logits, gather(chances.uniforms, 'own', turn), chances.temperature, shape)
      : greedy(logits);
    const token = where(state.alive, drawn.token, config.tokens.pad);
    const ended = shape.ends.map((id) => equal(token, id)).reduce((a, b) => or(a, b));
    const alive = and(state.alive, not(ended));

    const at = { cos: gather(next.cos, 'own', turn), sin: gather(next.sin, 'own', turn) };
    const kept: Record<string, Tensor> = {};
    const remember = (name: string, value: Tensor): Tensor =>
      (kept[name] = append(state[name], 'key', cast(value, precision)));
    const attend = (layer: number, { keys, values }: Memory): readonly Memory[] => [
      prefix.memory[layer],
      { keys: remember(`keys${layer}`, keys), values: remember(`values${layer}`, values) },
    ];
    const hidden = decoder(weights, config, embed(weights, config, token), at, attend);
    return {
      state: {
        logits: head(weights, config, hidden),
        alive,
        ...(state.seen ? { seen: or(state.seen, equal(token, iota('vocab', vocab))) } : {}),
        ...kept,
      },
      collect: {
        written: token,
        logProbs: where(state.alive, drawn.logProb, 0),
        ...(shape.entropy ? { entropies: where(state.alive, drawn.entropy, 0) } : {}),
      },
      going: greater(max(cast(alive, 'int64'), 'prompt', 'sample'), 0),
    };
  });
  return collected;
}
