import type { Tensor } from '../../tensor/graph.js';
import { emit, type Program } from '../../tensor/onnx.js';
import { input } from '../../tensor/ops.js';
import { openEngine } from '../../tensor/session.js';
import type { Sam2Config } from './config.js';
import { decoder } from './decoder.js';
import { encoder, type Features } from './encoder.js';
import type { Answer } from './outline.js';
import { maskPrompt } from './prompts.js';
import type { Weights } from './weights.js';

/** An image as the decoder takes it; see `Features` for the order of its cells. */
export type Embedding = { readonly [level in keyof Features]: Float32Array };

/** One object: its tokens, [tokens × width], and, rarely, a mask to begin from, logits [S/4 × S/4]. */
export interface Asked {
  readonly tokens: Float32Array;
  readonly mask?: Float32Array;
}

/** An object's answers, and the logit of there being an object at all, which no mask depends on. */
export interface Decoded extends Answer {
  readonly score: number;
}

/** The two graphs of a checkpoint, ready to be run. */
export interface Network {
  /** Bytes of one embedding. */
  readonly embeddingBytes: number;
  /** @param pixels [3, S, S], normalised. */
  embed(pixels: Float32Array): Promise<Embedding>;
  /** Answers in order; objects are decoded in as few runs as there can be, and don't see each other. */
  decode(embedding: Embedding, asked: readonly Asked[]): Promise<Decoded[]>;
  /** Waits for runs under way, frees sessions and threads. */
  release(): Promise<void>;
}

/** Objects of one run; more would gain little and take memory. */
const MOST_OBJECTS = 8;
const LEAST_TOKENS = 4;
/** Added to scores of what may not be attended to; exp of it is 0 beside any real score. */
const HIDDEN = -1e30;

/** Opens the encoder; decoders are opened when objects first come in their number. */
export async function openNetwork(weights: Weights, config: Sam2Config, options: { readonly workers: number; readonly threads: number }): Promise<Network> {
  const engine = openEngine(options);
  const encode = emit('sam2 encoder', { ...encoder(weights, config, input('pixels', 'float32', { channel: 3, row: config.size, column: config.size })) });
  const decoders = new Map<string, Program>();
  const opened = async (objects: number, tokens: number, masks: boolean): Promise<Program> => {
    const name = `sam2 decoder ${objects}×${tokens}${masks ? ' of masks' : ''}`;
    const program = decoders.get(name) ?? decoderProgram(name, weights, config, objects, tokens, masks);
    decoders.set(name, program);
    await engine.open(program);
    return program;
  };
  await engine.open(encode).catch(async (error: unknown) => {
    await engine.release();
    throw error;
  });

  async function run(embedding: Embedding, asked: readonly Asked[]): Promise<Decoded[]> {
    const masks = asked.some(({ mask }) => mask);
    const most = Math.max(...asked.map(({ tokens }) => tokens.length / config.width));
    const program = await opened(asked.length, bucket(most, LEAST_TOKENS), masks);
    const { outputs } = await engine.run(program, { ...embedding, ...prompted(asked, bucket(most, LEAST_TOKENS), config, masks) });
    const [logits, iou, score] = [outputs['logits'], outputs['iou'], outputs['score']] as [Float32Array, Float32Array, Float32Array];
    const each = logits.length / asked.length;
    return asked.map((_, i) => ({ logits: logits.subarray(i * each, (i + 1) * each), iou: iou.subarray(4 * i, 4 * i + 4), score: score[i] }));
  }

  return {
    embeddingBytes: 4 * encode.outputs.reduce((sum, { sizes }) => sum + sizes.reduce((product, size) => product * size, 1), 0),
    embed: async (pixels) => (await engine.run(encode, { pixels })).outputs as unknown as Embedding,
    async decode(embedding, asked) {
      const answers = await Promise.all(runs(asked).map((some) => run(embedding, some)));
      return answers.flat();
    },
    release: () => engine.release(),
  };
}

function decoderProgram(name: string, weights: Weights, config: Sam2Config, object: number, prompt: number, masks: boolean): Program {
  const { width, size } = config;
  const pixel = (size / 16) ** 2;
  const features: Features = {
    image: input('image', 'float32', { pixel, width }),
    fine: input('fine', 'float32', { pixel, half: 4, fine: width / 4 }),
    finest: input('finest', 'float32', { pixel, half: 4, quarter: 4, finest: width / 8 }),
  };
  const dense: Tensor | undefined = masks ? maskPrompt(weights, config, input('masks', 'float32', { object, cell: 16 * pixel })) : undefined;
  const answers = decoder(weights, config, features, input('sparse', 'float32', { object, prompt, width }), input('hidden', 'float32', { object, prompt }), dense);
  return emit(name, { ...answers });
}

/** Runs of 8, 4, 2 and 1 objects: a number of them that has a graph. */
function runs(asked: readonly Asked[]): Asked[][] {
  const cut: Asked[][] = [];
  for (let from = 0; from < asked.length; ) {
    const left = asked.length - from;
    const size = Math.min(MOST_OBJECTS, 2 ** Math.floor(Math.log2(left)));
    cut.push(asked.slice(from, from + size));
    from += size;
  }
  return cut;
}

const bucket = (count: number, least: number): number => Math.max(least, 2 ** Math.ceil(Math.log2(count)));

/** Tokens of all objects, filled up to one number; what fills is hidden from everything else. */
function prompted(asked: readonly Asked[], places: number, { width, size }: Sam2Config, masks: boolean): Record<string, Float32Array> {
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
