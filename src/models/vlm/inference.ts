import { OutOfMemoryError } from '../../errors.js';
import type { Engine } from '../../tensor/engine.js';
import {
  combined,
  type EncodedPrompt,
  type Gradient,
  type ScoreRequest,
  type TrainRow,
  type GenerateRequest,
  type GeneratedCompletion,
} from '../policy.js';
import { chunks, prefixShape, roomFor, trainChunks, type Chunk } from './batch.js';
import type { VlmConfig } from './architecture.js';
import { rolloutFeeds, trainFeeds } from './feeds.js';
import { inRuns, type Cut, type Runs, type Size } from './microbatches.js';
import type { PrefixShape } from './prefix.js';
import type { Build } from './build.js';
import type { GraphCache } from './graph-cache.js';
import { rolloutGraph, type RolloutShape } from './rollout.js';
import { gradientGraph, scoreGraph, type TrainGraph } from './train.js';
import { completions } from './completions.js';

/** How work is split into runs. */
export interface RunOptions {
  /** Prompts in one run. */
  readonly batch: number;
  /** Most tokens in one training run, padding included; unlimited by default. */
  readonly tokens?: number;
  /**
   * Ids that are never written, and have probability 0 when completions are scored; by default those for vision or
   * padding, and those without a token.
   */
  readonly suppressed?: readonly number[];
  /**
   * Gradient checkpointing: whether the backward pass computes each layer again instead of keeping its values; false by
   * default.
   */
  readonly gradientCheckpointing?: boolean;
}

/** A model on an engine, and how it is run. */
export interface Model extends Omit<RunOptions, 'batch' | 'tokens'> {
  /** Its name in messages. */
  readonly name: string;
  /** Microbatches of each kind of work; smaller after a run did not fit. */
  readonly runs: Readonly<Record<'write' | 'score' | 'train', Runs>>;
  readonly config: VlmConfig;
  readonly build: Build;
  /** Whether the engine also holds AdamW's moments. */
  readonly moments: boolean;
  /** Weights that learn. */
  readonly parameters: number;
  /** Parameter sets of runs, trained weights first. */
  readonly sets: readonly string[];
  readonly suppressed: readonly number[];
  readonly engine: Engine;
  readonly graphs: GraphCache;
}

/** Prompts of one rollout, and the graph that they share. */
interface Asked extends Cut {
  readonly shape: RolloutShape;
}

/** Completions of all prompts, in order. */
export async function generate(
  model: Model,
  { prompts: asked, group, temperature, maxTokens, random, ...sampling }: GenerateRequest,
): Promise<GeneratedCompletion[][]> {
  const { config, build, sets, suppressed, graphs } = model;
  const written: GeneratedCompletion[][] = Array.from({ length: asked.length });
  const prompts = (indices: readonly number[]): EncodedPrompt[] => indices.map((i) => asked[i]);
  await inRuns(asked.length, model.runs.write, {
    cut: (left, { batch }) =>
      chunks(prompts(left), batch).map((part): Asked => {
        const indices = part.map((i) => left[i]);
        const room = roomFor(prompts(indices), batch);
        return {
          indices,
          room,
          shape: {
            ...prefixShape(prompts(indices), room),
            samples: group,
            maxTokens,
            greedy: temperature === 0,
            suppressed,
            ends: config.tokens.eos,
            ...sampling,
          },
        };
      }),
    most: atOnce(model),
    async work({ indices, shape }) {
      const feeds = rolloutFeeds(config, prompts(indices), indices, shape, { temperature, ...(random && { random }) });
      return completions(
        await graphs.run(graphKey('write', shape), () => rolloutGraph(config, shape, build), feeds, sets),
        shape,
        indices.length,
      );
    },
    take(answers, { indices }) {
      for (const [at, index] of indices.entries()) written[index] = answers[at];
    },
    alone: ({ shape }, error) => tooLarge(model, 'rollout', shape, maxTokens, error),
  });
  return written;
}

/** Log-probs of completions, [row][sample][token]. */
export async function scores(model: Model, { rows, temperature }: ScoreRequest): Promise<number[][][]> {
  const { config, build, sets, graphs } = model;
  const of = sets.join(' ');
  const all: number[][][] = Array.from({ length: rows.length });
  await inRuns(rows.length, model.runs.score, {
    cut: (left, size) => chunked(model, rows, left, size),
    most: atOnce(model),
    work: ({ part, shape }) =>
      graphs.run(
        graphKey(`score ${of}`, shape),
        () => scoreGraph(config, shape, of, build),
        trainFeeds(config, part, shape, temperature),
        sets,
      ),
    take({ outputs }, { indices, part, shape }) {
      const logProbs = outputs['logProbs'] as Float32Array;
      for (const [r, index] of indices.entries()) {
        all[index] = part[r].completions.map((tokens, s) => {
          const at = (r * shape.samples + s) * shape.length;
          return Array.from(logProbs.subarray(at, at + tokens.length));
        });
      }
    },
    alone: ({ shape }, error) => tooLarge(model, 'scores', shape, shape.length, error),
  });
  return all;
}

/**
 * Summed in row order, for any split into runs; 0 without rows. Empty if the engine holds the sum for the following
 * step.
 */
export async function gradient(
  model: Model,
  graph: TrainGraph,
  { rows, temperature }: ScoreRequest,
): Promise<Gradient> {
  const { config, build, moments, parameters, sets, graphs, engine } = model;
  let sum: Float32Array | undefined;
  let metrics: Record<string, number> = {};
  /** The engine's sum has this call's gradients so far. */
  let begun = false;
  await inRuns(rows.length, model.runs.train, {
    cut: (left, size) => chunked(model, rows, left, size),
    most: engine.workers,
    work: ({ part, shape }) =>
      graphs.run(
        graphKey(`train ${graph.name}`, shape),
        () => gradientGraph(config, shape, graph, build),
        trainFeeds(config, part, shape, temperature),
        sets,
        build.sums ? { sum: begun ? 'add' : 'begin', moments } : {},
      ),
    take({ gradient: part, outputs, sizes }) {
      begun = true;
      if (part) sum = sum ? added(sum, part) : part;
      for (const [name, value] of Object.entries(outputs)) {
        if (sizes[name]?.length === 0) metrics[name] = combined(name, metrics[name], Number(value[0]));
      }
    },
    alone: ({ shape }, error) => tooLarge(model, 'update', shape, shape.length, error),
    // A run that did not fit has added an unknown part of its gradients.
    ...(build.sums && {
      again() {
        begun = false;
        metrics = {};
      },
    }),
  });
  return { gradient: sum ?? new Float32Array(begun ? 0 : parameters), metrics };
}

/** On the CPU runs queue for threads; on a GPU each waits for the one before, which may turn out too large. */
function atOnce({ engine }: Model): number {
  return engine.traits.device === 'cpu' ? Infinity : 1;
}

function chunked(
  { suppressed, gradientCheckpointing = false }: Model,
  rows: readonly TrainRow[],
  left: readonly number[],
  { batch, tokens }: Size,
): Chunk[] {
  const some = left.map((i) => rows[i]);
  return trainChunks(some, batch, tokens, { suppressed, gradientCheckpointing }).map((chunk) => ({
    ...chunk,
    indices: chunk.indices.map((i) => left[i]),
  }));
}

/** The error if a single prompt does not fit. */
function tooLarge(
  { name, build, engine, gradientCheckpointing, moments }: Model,
  doing: 'rollout' | 'scores' | 'update',
  { tokens, grids, samples }: PrefixShape & { readonly samples: number },
  length: number,
  { bytes }: OutOfMemoryError,
): Error {
  const images = grids.map(({ h, w }) => `${w}×${h} patches`).join(' and ');
  const ways = [
    ...(grids.length > 0 ? ['a smaller frame'] : []),
    'a smaller group',
    'a smaller maxTokens',
    ...(engine.traits.device !== 'cpu' && build.precision === 'float32' ? ['precision: bfloat16'] : []),
    ...(doing === 'update' && !gradientCheckpointing ? ['gradientCheckpointing: true'] : []),
    ...(doing === 'update' && engine.learning && moments && !build.adapter ? ['optimizer: host'] : []),
    ...(doing === 'update' && !build.adapter ? ['train: { lora: … }'] : []),
  ];
  const one = `one prompt of ${tokens} tokens${images === '' ? '' : `, an image of ${images} among them,`} with ${samples} completions of ${length}`;
  return new OutOfMemoryError(
    `${name}  ${doing}: expected memory for ${one}; got ${bytes === undefined ? 'too little' : `no room for ${bytes} bytes of it`}; way out: ${ways.join(', ')}`,
    bytes,
  );
}

/** Key of a policy's graph, without the suppressed ids, which are the same in all. */
function graphKey(kind: string, shape: object): string {
  return `${kind} ${JSON.stringify({ ...shape, suppressed: 0 })}`;
}

/** The sum, in place of `sum`. */
function added(sum: Float32Array, part: Float32Array): Float32Array {
  for (let i = 0; i < part.length; i++) sum[i] = sum[i] + part[i];
  return sum;
}
