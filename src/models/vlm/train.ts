import { gradient } from '../../tensor/gradient.js';
import { GRADIENT, SUM, trace, type Graph } from '../../tensor/engine.js';
import type { Tensor } from '../../tensor/graph.js';
import { add, concat, dims, expand, exp, input, lift, mul, neg, order, pick, slice, sum } from '../../tensor/ops.js';
import type { Objective } from '../../objectives/objective.js';
import { policyLoss } from '../../objectives/policy-loss.js';
import type { Blocks } from './attention.js';
import type { VlmConfig } from './architecture.js';
import { PLAIN_BUILD, type Build } from './build.js';
import { policyWeights, type PolicyWeights } from './lora.js';
import { readPrefix, type Prefix, type PrefixShape } from './prefix.js';
import { scoring, type Score } from './scores.js';
import { decoder, embed } from './decoder.js';
import { completionAttention } from './visibility.js';
import type { Weights, WeightShape } from './weights.js';

/** The shape of a microbatch's graph. */
export interface BatchShape extends PrefixShape {
  /** Completions for each prompt. */
  readonly samples: number;
  /** Tokens of the longest completion, padding included. */
  readonly length: number;
  readonly suppressed: readonly number[];
  /** Most logits at once; 2^24 by default. */
  readonly logits?: number;
  /** Whether to use gradient checkpointing; false by default. */
  readonly gradientCheckpointing?: boolean;
  /** Blocks of attention scores; by default those for the device. */
  readonly blocks?: Blocks;
}

/** A microbatch after the model has read it. */
export interface Reading {
  readonly weights: Weights;
  readonly prefix: Prefix;
  /** From log-probs at the sampling temperature to [prompt, sample, token]. */
  readonly score: Score;
}

/**
 * Reads completions after the prefix that their group shares: [prefix | completion 1 | … | completion G], P + G·C
 * tokens instead of G·(P + C).
 *
 * Besides the prefix's inputs: `written` int64 [prompt, sample, token], `nextCos` and `nextSin` [prompt, token, half],
 * `temperature`.
 *
 * @see Prefix Grouper, arXiv:2506.05433
 */
function readCompletions(weights: Weights, config: VlmConfig, shape: BatchShape): Reading {
  const { prompts: prompt, samples: sample, length: token } = shape;
  const half = config.text.headDim / 2;
  const prefix = readPrefix(weights, config, shape, shape);
  const written = input('written', 'int64', { prompt, sample, token });
  const first = expand(lift(prefix.last, 'token'), dims({ prompt, sample, token: 1, width: config.text.hidden }));
  const hidden = [first];
  if (token > 1) {
    const turned = (name: string): Tensor =>
      expand(
        slice(input(name, 'float32', { prompt, token, half }), 'token', 0, token - 1),
        dims({ prompt, sample, token: token - 1, half }),
      );
    const rotary = { cos: turned('nextCos'), sin: turned('nextSin') };
    hidden.push(
      order(
        decoder(
          weights,
          config,
          embed(weights, config, slice(written, 'token', 0, token - 1)),
          rotary,
          completionAttention(prefix.memory, token - 1),
          shape,
        ),
        'prompt',
        'sample',
        'token',
        'width',
      ),
    );
  }
  const score = scoring(weights, config, {
    hidden: concat(hidden, 'token'),
    written,
    temperature: input('temperature', 'float32', {}),
    suppressed: shape.suppressed,
    logits: shape.logits,
  });
  return { weights, prefix, score };
}

/** A training graph: `loss` is minimised; the other outputs are reported. */
export interface TrainGraph {
  readonly name: string;
  /** Weights beside the checkpoint's own, such as a head that exists only in training. */
  readonly extra?: readonly WeightShape[];
  build(reading: Reading, shape: BatchShape): { readonly loss: Tensor } & Readonly<Record<string, Tensor>>;
}

/**
 * The loss of a microbatch with its gradient for every trained weight that it depends on: the adapter's, if there is
 * one, else all.
 */
export function gradientGraph(
  config: VlmConfig,
  shape: BatchShape,
  graph: TrainGraph,
  { adapter, held, blocks, precision, sums = false }: Build = PLAIN_BUILD,
): Graph {
  return trace(`train ${graph.name} ${JSON.stringify(shape)}`, precision, () =>
    withGradients(config, { blocks, ...shape }, graph, policyWeights(config, adapter, graph.extra, held), sums),
  );
}

function withGradients(
  config: VlmConfig,
  shape: BatchShape,
  graph: TrainGraph,
  { weights, trained }: PolicyWeights,
  sums: boolean,
): Readonly<Record<string, Tensor>> {
  const outputs = graph.build(readCompletions(weights, config, shape), shape);
  const traced = trained();
  const slopes = gradient(
    outputs.loss,
    traced.map(({ tensor }) => tensor),
  );
  // Sums are traced in the order in which gradients are complete, since outputs are computed in trace order.
  const known = traced
    .map(({ name, tensor }, i) => ({ name, tensor, slope: slopes[i] }))
    .toSorted((a, b) => a.slope.node.id - b.slope.node.id);
  const before = ({ shape: dims }: Tensor, name: string): Tensor =>
    input(`${SUM}${name}`, 'float32', Object.fromEntries(dims.map((dim) => [dim.name, dim.size])));
  const named = Object.fromEntries(
    known.map(({ name, tensor, slope }) => [`${GRADIENT}${name}`, sums ? add(slope, before(tensor, name)) : slope]),
  );
  return { ...outputs, ...named };
}

/**
 * Only log-probs of written tokens, [prompt, sample, token]; `of` distinguishes graphs of one shape by the weights that
 * they are bound to.
 */
export function scoreGraph(
  config: VlmConfig,
  shape: BatchShape,
  of: string,
  { adapter, held, blocks, precision }: Build = PLAIN_BUILD,
): Graph {
  const { weights } = policyWeights(config, adapter, [], held);
  return trace(`score ${of} ${JSON.stringify(shape)}`, precision, () =>
    readCompletions(weights, config, { blocks, ...shape }).score((all, own) => ({ logProbs: pick(all, 'vocab', own) })),
  );
}

/** The graph of a policy-gradient objective; its inputs besides the batch are those of `policyLoss`. */
export function objectiveGraph(objective: Objective): TrainGraph {
  return {
    name: objective.name,
    build({ score }, { prompts: prompt, samples: sample, length: token }) {
      const scored = score((all, own) => ({
        logProbs: pick(all, 'vocab', own),
        entropy: neg(sum(mul(exp(all), all), 'vocab')),
      }));
      return policyLoss(objective, scored, { prompt, sample, token });
    },
  };
}
