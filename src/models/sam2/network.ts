import { trace, type Engine, type Feeds, type Graph, type Kept } from '../../tensor/engine.js';
import { count, type Data, type Precision, type Tensor } from '../../tensor/graph.js';
import { input } from '../../tensor/ops.js';
import type { Sam2Config } from './config.js';
import { decoder } from './decoder.js';
import { encoder, type Features } from './encoder.js';
import type { Chosen } from './model.js';
import { picked } from './pick.js';
import { maskPrompt } from './prompts.js';
import type { Weights } from './weights.js';

/** An image for the decoder; see `Features` for the order of its cells. */
export type Embedding = { readonly [level in keyof Features]: Float32Array };

/** An embedding that stays on the device that computed it. */
export type KeptEmbedding = { readonly [level in keyof Features]: Kept };

/** One object: its tokens, [tokens × width], and, rarely, a mask to begin from, logits [S/4 × S/4]. */
export interface Asked {
  readonly tokens: Float32Array;
  readonly mask?: Float32Array;
}

/** An object's four masks: the single one, then three of different meanings. */
export interface Decoded {
  /** [4, side × side] */
  readonly logits: Float32Array;
  /** [4], in [0, 1]: predicted IoU of each. */
  readonly iou: Float32Array;
  /** Logit of an object being present; no mask depends on it. */
  readonly score: number;
}

/** Output of a decoder: all four masks, always the best of three, or the single one if it is stable. */
type Wanted = 'all' | 'multimask' | 'single';

/** The two graphs of a checkpoint, ready to be run. */
export interface Network {
  /** Bytes of one embedding. */
  readonly embeddingBytes: number;
  /** @param pixels [3, S, S], normalised. */
  embed(pixels: Float32Array): Promise<Embedding>;
  /** As `embed`, but only for the decoder: on a GPU it stays there until `drop`. */
  keep(pixels: Float32Array): Promise<KeptEmbedding>;
  drop(embedding: KeptEmbedding): Promise<void>;
  /** All masks, in order; objects are decoded in as few runs as possible, and don't see each other. */
  decode(embedding: Embedding | KeptEmbedding, asked: readonly Asked[]): Promise<Decoded[]>;
  /**
   * As `decode`, but only the chosen mask of each object: by `multimask`, always the best of three or only if the
   * single one is unstable.
   */
  answer(embedding: Embedding | KeptEmbedding, asked: readonly Asked[], multimask: boolean): Promise<Chosen[]>;
  /** Waits for runs under way, frees sessions and threads. */
  release(): Promise<void>;
}

/** Objects of one run; more gain little and take memory. */
const MOST_OBJECTS = 8;
const LEAST_TOKENS = 4;
/** Added to scores of what may not be attended to; exp of it is 0 beside any real score. */
const HIDDEN = -1e30;

/**
 * Opens the encoder; a decoder is opened when its number of objects first occurs.
 *
 * @param engine is owned by the network; released on failure.
 * @param weights opened for the engine's traits.
 */
export async function openNetwork(
  engine: Engine,
  weights: Weights,
  config: Sam2Config,
  precision: Precision = 'float32',
): Promise<Network> {
  const encode = trace('sam2 encoder', precision, () => ({
    ...encoder(weights, config, input('pixels', 'float32', { channel: 3, row: config.size, column: config.size })),
  }));
  const levels = Object.keys(encode.outputs);
  const decoders = new Map<string, Graph>();
  const opened = async (objects: number, tokens: number, masks: boolean, wanted: Wanted): Promise<Graph> => {
    const name = `sam2 decoder ${objects}×${tokens}${masks ? ' of masks' : ''} ${wanted}`;
    const graph =
      decoders.get(name) ??
      trace(name, precision, () => decoded(weights, config, { object: objects, prompt: tokens, masks, wanted }));
    decoders.set(name, graph);
    await engine.open(graph);
    return graph;
  };
  await engine.open(encode).catch(async (error: unknown) => {
    await engine.release();
    throw error;
  });

  /** Outputs by object, each flat, of as few runs as possible. */
  async function each(embedding: Feeds, asked: readonly Asked[], wanted: Wanted): Promise<Outputs[]> {
    const all = await Promise.all(
      runs(asked).map(async (some) => {
        const masks = some.some(({ mask }) => mask);
        const places = bucket(Math.max(...some.map(({ tokens }) => tokens.length / config.width)), LEAST_TOKENS);
        const graph = await opened(some.length, places, masks, wanted);
        const { outputs } = await engine.run(graph, { ...embedding, ...prompted(some, places, config, masks) });
        const part = (data: Data, i: number): Data =>
          data.subarray((i * data.length) / some.length, ((i + 1) * data.length) / some.length);
        return some.map(
          (_, i) =>
            Object.fromEntries(
              Object.entries(outputs).map(([name, data]) => [name, part(data, i)]),
            ) as unknown as Outputs,
        );
      }),
    );
    return all.flat();
  }

  return {
    embeddingBytes: 4 * Object.values(encode.outputs).reduce((sum, { shape }) => sum + count(shape), 0),
    embed: async (pixels) => (await engine.run(encode, { pixels })).outputs as unknown as Embedding,
    keep: async (pixels) =>
      (await engine.run(encode, { pixels }, undefined, { keep: levels })).kept as unknown as KeptEmbedding,
    drop: (embedding) => engine.drop(Object.values(embedding)),
    decode: async (embedding, asked) =>
      (await each(embedding, asked, 'all')).map(({ logits, iou, score }) => ({
        logits,
        iou,
        score: score[0],
      })),
    answer: async (embedding, asked, multimask) =>
      (await each(embedding, asked, multimask ? 'multimask' : 'single')).map(({ logits, iou, output }) => ({
        logits,
        output: Number(output[0]),
        iou: iou[0],
      })),
    release: () => engine.release(),
  };
}

/** An object's part of a run's outputs; `score` with all masks, `output` with a picked one. */
interface Outputs {
  readonly logits: Float32Array;
  readonly iou: Float32Array;
  readonly score: Float32Array;
  readonly output: BigInt64Array;
}

interface DecoderShape {
  readonly object: number;
  readonly prompt: number;
  readonly masks: boolean;
  readonly wanted: Wanted;
}

function decoded(
  weights: Weights,
  config: Sam2Config,
  { object, prompt, masks, wanted }: DecoderShape,
): Readonly<Record<string, Tensor>> {
  const { width, size } = config;
  const pixel = (size / 16) ** 2;
  const features: Features = {
    image: input('image', 'float32', { pixel, width }),
    fine: input('fine', 'float32', { pixel, half: 4, fine: width / 4 }),
    finest: input('finest', 'float32', { pixel, half: 4, quarter: 4, finest: width / 8 }),
  };
  const dense: Tensor | undefined = masks
    ? maskPrompt(weights, config, input('masks', 'float32', { object, cell: 16 * pixel }))
    : undefined;
  const answers = decoder(
    weights,
    config,
    features,
    input('sparse', 'float32', { object, prompt, width }),
    input('hidden', 'float32', { object, prompt }),
    dense,
  );
  return wanted === 'all' ? { ...answers } : { ...picked(answers, config.decoder.stability, wanted === 'multimask') };
}

/** Runs of 8, 4, 2 and 1 objects: a number of them that has a graph. */
function runs(asked: readonly Asked[]): Asked[][] {
  const cut: Asked[][] = [];
  for (let from = 0; from < asked.length;) {
    const left = asked.length - from;
    const size = Math.min(MOST_OBJECTS, 2 ** Math.floor(Math.log2(left)));
    cut.push(asked.slice(from, from + size));
    from += size;
  }
  return cut;
}

const bucket = (count: number, least: number): number => Math.max(least, 2 ** Math.ceil(Math.log2(count)));

/** Tokens of all objects, padded to one length; padding is masked. */
function prompted(
  asked: readonly Asked[],
  places: number,
  { width, size }: Sam2Config,
  masks: boolean,
): Record<string, Float32Array> {
  const sparse = new Float32Array(asked.length * places * width);
  const hidden = new Float32Array(asked.length * places).fill(HIDDEN);
  for (const [i, { tokens }] of asked.entries()) {
    sparse.set(tokens, i * places * width);
    hidden.fill(0, i * places, i * places + tokens.length / width);
  }
  if (!masks) return { sparse, hidden };
  const cells = (size / 4) ** 2;
  const all = new Float32Array(asked.length * cells);
  for (const [i, { mask }] of asked.entries()) all.set(mask as Float32Array, i * cells);
  return { sparse, hidden, masks: all };
}
