import type { Answer, Engine } from '../../tensor/session.js';
import { combined, type EncodedPrompt, type Gradient, type TrainRow, type WriteOptions, type Written } from '../policy.js';
import { chunks, prefixShape, trainChunks, type Chunk } from './batch.js';
import type { QwenConfig } from './config.js';
import { rolloutFeeds, trainFeeds } from './feeds.js';
import { inTurn } from './in-turn.js';
import type { Build } from './build.js';
import type { Programs } from './programs.js';
import { rolloutProgram, type RolloutShape } from './rollout.js';
import type { Recompute } from './text.js';
import { scoreProgram, trainProgram, type TrainGraph } from './train.js';
import { completions } from './written.js';

/** How work is cut into runs. */
export interface RunOptions {
  /** Prompts in one run. */
  readonly batch: number;
  /** Tokens in one training run, padding included, where that means fewer prompts; no bound unless told. */
  readonly tokens?: number;
  /** Ids that are never written, and count as impossible when completions are scored; those that mean vision or padding, or nothing, unless told. */
  readonly suppressed?: readonly number[];
  /** What an update computes twice to keep less; nothing unless told. */
  readonly recompute?: Recompute;
}

/** A model on an engine, and how it is run. */
export interface Model extends RunOptions {
  readonly config: QwenConfig;
  readonly build: Build;
  /** Weights that learn. */
  readonly parameters: number;
  /** Where runs look weights up, what learns first. */
  readonly sets: readonly string[];
  readonly suppressed: readonly number[];
  readonly engine: Engine;
  readonly programs: Programs;
}

/** Completions of all prompts, in order. */
export async function write(model: Model, asked: readonly EncodedPrompt[], options: WriteOptions): Promise<Written[][]> {
  const written: Written[][] = Array.from({ length: asked.length });
  await Promise.all(
    chunks(asked, model.batch).map(async (indices) => {
      const answers = await writeChunk(model, indices.map((i) => asked[i] as EncodedPrompt), indices, options);
      for (const [at, index] of indices.entries()) written[index] = answers[at] as Written[];
    }),
  );
  return written;
}

async function writeChunk({ config, build, sets, suppressed, batch, programs }: Model, asked: readonly EncodedPrompt[], indices: readonly number[], options: WriteOptions): Promise<Written[][]> {
  const { group, temperature, maxTokens, uniform, ...sampling } = options;
  const shape: RolloutShape = { ...prefixShape(asked, batch), samples: group, maxTokens, greedy: temperature === 0, suppressed, ends: config.tokens.eos, ...sampling };
  const feeds = rolloutFeeds(config, asked, indices, shape, { temperature, uniform });
  return completions(await programs.run(graphKey('write', shape), () => rolloutProgram(config, shape, build), feeds, sets), shape, asked.length);
}

/** Log-probs of completions, [row][sample][token]. */
export async function scores(model: Model, rows: readonly TrainRow[], temperature: number): Promise<number[][][]> {
  const { config, build, sets, programs } = model;
  const of = sets.join(' ');
  const all: number[][][] = Array.from({ length: rows.length });
  await Promise.all(
    chunked(model, rows).map(async ({ indices, part, shape }) => {
      const { outputs } = await programs.run(graphKey(`score ${of}`, shape), () => scoreProgram(config, shape, of, build), trainFeeds(config, part, shape, temperature), sets);
      const logProbs = outputs['logProbs'] as Float32Array;
      for (const [r, index] of indices.entries()) {
        all[index] = (part[r] as TrainRow).completions.map((tokens, s) => {
          const at = (r * shape.samples + s) * shape.length;
          return Array.from(logProbs.subarray(at, at + tokens.length));
        });
      }
    }),
  );
  return all;
}

/** Summed in row order, whatever runs they are cut into; 0 of no rows. */
export async function gradient(model: Model, graph: TrainGraph, rows: readonly TrainRow[], temperature: number): Promise<Gradient> {
  const { config, build, parameters, sets, programs, engine } = model;
  let sum: Float32Array | undefined;
  const metrics: Record<string, number> = {};
  const run = async ({ part, shape }: Chunk): Promise<Answer> =>
    programs.run(graphKey(`train ${graph.name}`, shape), () => trainProgram(config, shape, graph, build), trainFeeds(config, part, shape, temperature), sets);
  await inTurn(chunked(model, rows), engine.workers, run, ({ gradient: part = new Float32Array(), outputs, sizes }) => {
    sum = sum ? added(sum, part) : part;
    for (const [name, value] of Object.entries(outputs)) {
      if (sizes[name]?.length === 0) metrics[name] = combined(name, metrics[name], Number(value[0]));
    }
  });
  return { gradient: sum ?? new Float32Array(parameters), metrics };
}

function chunked({ batch, tokens, suppressed, recompute = 'none' }: Model, rows: readonly TrainRow[]): Chunk[] {
  return trainChunks(rows, batch, tokens, { suppressed, recompute });
}

/** Tells a policy's graphs apart: what is suppressed is the same in all of them. */
function graphKey(kind: string, shape: object): string {
  return `${kind} ${JSON.stringify({ ...shape, suppressed: 0 })}`;
}

/** The sum, in place of `sum`. */
function added(sum: Float32Array, part: Float32Array): Float32Array {
  for (let i = 0; i < part.length; i++) sum[i] = (sum[i] as number) + (part[i] as number);
  return sum;
}
