/**
 * Peak bytes of a policy, computed from its architecture part by part: what the runtime holds at the same time.
 * `bench/memory.mjs` compares the sums with measured peaks.
 */
import { WIDTH } from '../../tensor/graph.js';
import { summed, type Memory } from '../inspected.js';
import { BLOCKS } from './attention.js';
import type { VlmConfig } from './architecture.js';
import { adaptedBy, JOINED } from './linear.js';
import type { Adapter } from './linear.js';
import { adapterShapes } from './lora.js';
import type { Job, Use } from './memory-use.js';
import { LOGITS } from './scores.js';
import type { WeightShape } from './weights.js';

export type { Job, Use } from './memory-use.js';

const FLOAT = 4;

/**
 * Measured on the small policy, whose weights and activations are negligible: process, libraries, one traced and opened
 * graph.
 */
const RUNTIME = { rollout: 130e6, training: 160e6 };

/**
 * The runtime's first run of a graph allocates piece by piece. Later runs of a rollout take one planned block, and its
 * arena keeps the pieces; training runs without a plan.
 */
const ARENA = { rollout: 2, training: 1 };

/** Number of elements of some weights. */
export function parameters(shapes: readonly WeightShape[]): number {
  return shapes.reduce((sum, { sizes }) => sum + Object.values(sizes).reduce((product, size) => product * size, 1), 0);
}

const width = ({ precision = 'float32' }: Use): number => WIDTH[precision];

/** Peak of a job, in steady state. */
export function memoryOf(config: VlmConfig, job: Job, use: Use): Memory {
  const all = parameters(config.architecture.weightShapes(config));
  const runs = (use.workers ?? 1) * ARENA[job.kind === 'rollout' ? 'rollout' : 'training'] * width(use);
  if (job.kind === 'rollout') {
    const [vision, decoder] = [
      visionBlock(config, use),
      joined(config) + cache(config, use) + decoderLayer(config, use) + drawnLogits(config, use),
    ];
    return summed({
      runtime: RUNTIME.rollout,
      weights: frozen(all, use),
      [vision > decoder ? 'vision tower' : 'decoder and its cache']: runs * Math.max(vision, decoder),
    });
  }
  const adapter = job.kind === 'lora' ? job.adapter : undefined;
  const trained = adapter ? parameters(adapterShapes(config, adapter)) : all;
  const [decoder, logits] = [decoderKept(config, use, adapter), scoredLogits(config, use)];
  return summed({
    runtime: RUNTIME.training,
    weights: (adapter ? frozen(all, use) : 0) + learning(trained, use),
    gradients: gradients(trained, use),
    moments: moments(trained),
    average: use.ema === true ? FLOAT * trained : 0,
    'vision tower':
      runs *
      (learnsToSee(config, adapter)
        ? visionKept(config, use, adapter)
        : Math.max(0, visionBlock(config, use) - decoder - logits)),
    decoder: runs * decoder,
    scores: runs * scoresKept(config, use, learnsToSee(config, adapter)),
    logits: runs * logits,
    vocabulary: adapter ? 0 : runs * chunkedVocabulary(config, use),
  });
}

/** Frozen weights: the pages of their files, for any number of workers; or upcast, once for each. */
function frozen(count: number, { workers = 1, mapped = false, ...use }: Use): number {
  return count * width(use) * (mapped ? 1 : workers);
}

/** Trained weights: one set on the main thread, which changes it, and a copy for each worker. */
function learning(count: number, { workers = 1, ...use }: Use): number {
  return count * (FLOAT + workers * width(use));
}

/**
 * Gradients: in the runtime, in the flat array of its copy, and the last step's until it is collected; of one
 * microbatch for each worker.
 */
function gradients(count: number, { workers = 1, ...use }: Use): number {
  return 3 * count * workers * width(use);
}

/** AdamW's two, on the main thread. */
function moments(count: number): number {
  return 2 * FLOAT * count;
}

/** Bytes of the host's memory for an optimizer there, for a GPU: the weights that learn, and AdamW's moments. */
export function hostBytes(config: VlmConfig, job: Job): number {
  if (job.kind === 'rollout') return 0;
  const shapes = job.kind === 'lora' ? adapterShapes(config, job.adapter) : config.architecture.weightShapes(config);
  return FLOAT * parameters(shapes) + moments(parameters(shapes));
}

/** Bytes of the host's memory for a running average of all weights, if there is one. */
export function averageBytes(config: VlmConfig, { ema = false }: Use): number {
  return ema ? FLOAT * parameters(config.architecture.weightShapes(config)) : 0;
}

/** Patches of an image, and tokens of a prompt with it. */
export function lengths(
  config: VlmConfig,
  { frame, text = 256 }: Use,
): { readonly patches: number; readonly prompt: number } {
  const { width, height } = config.architecture.resized({ width: frame, height: frame }, config);
  const patches = (width / config.vision.patch) * (height / config.vision.patch);
  return { patches, prompt: patches / config.vision.merge ** 2 + text };
}

/** Floats of the matrices that a token-by-token loop joins if they are small. */
function joined(config: VlmConfig): number {
  const { joined: matrices } = config.architecture.layerFloats(config);
  return config.text.layers * matrices.filter((floats) => floats <= JOINED).reduce((sum, floats) => sum + floats, 0);
}

/**
 * Keys and values of the prompt once for each group, those of a completion's tokens twice: each turn writes the longer
 * ones beside the old ones.
 */
function cache({ text, ...config }: VlmConfig, use: Use): number {
  const { prompt } = lengths({ text, ...config }, use);
  return use.prompts * 2 * text.layers * text.kvHeads * text.headDim * (prompt + 2 * use.group * use.maxTokens);
}

/** One layer over a prompt, with scores beside their softmax. */
function decoderLayer(config: VlmConfig, use: Use): number {
  const { prompt } = lengths(config, use);
  return (
    use.prompts * prompt * config.architecture.layerFloats(config).token + 2 * together(scores(config, use).prompt)
  );
}

/**
 * Scores of one layer over prompts and one over completions, and of one block that sees whole images and one that sees
 * windows.
 */
export function scores(
  config: VlmConfig,
  use: Use,
): Readonly<Record<'prompt' | 'completions' | 'whole' | 'window', number>> {
  const { patches, prompt } = lengths(config, use);
  const [text, vision] = [use.prompts * config.text.heads, use.prompts * config.vision.heads * patches];
  return {
    prompt: text * prompt ** 2,
    completions: text * use.group * use.maxTokens * (prompt + use.maxTokens),
    whole: vision * patches,
    window: vision * Math.min(patches, (config.vision.window / config.vision.patch) ** 2),
  };
}

/** Of a number of scores, those that exist at once. */
const together = (all: number): number => Math.min(all, BLOCKS.cpu.together);

/**
 * Softmax over the scores of all layers, if kept for the backward pass; and for one layer the adjoints of both, or of
 * what is recomputed.
 */
function scoresKept(config: VlmConfig, use: Use, sees: boolean): number {
  const { prompt, completions, whole, window } = scores(config, use);
  const keep = (all: number): number => (use.gradientCheckpointing === true || all > BLOCKS.cpu.together ? 0 : all);
  const { depth, fullAttention } = config.vision;
  const vision = sees ? fullAttention.length * keep(whole) + (depth - fullAttention.length) * keep(window) : 0;
  return (
    config.text.layers * (keep(prompt) + keep(completions)) +
    vision +
    2 * Math.max(...[prompt, completions, ...(sees ? [whole, window] : [])].map(together))
  );
}

/**
 * Whether the vision tower's values are needed for the backward pass; else all but its features are freed before the
 * decoder begins.
 */
export function learnsToSee({ architecture: { modules } }: VlmConfig, adapter: Adapter | undefined): boolean {
  return !adapter || adapter.matrices.some((name) => name.startsWith(modules.vision));
}

/** Floats that an adapter adds to a token, or a patch, in a layer: A · x of each of its matrices. */
export function adaptedFloats(adapter: Adapter | undefined, module: string, layers: number): number {
  if (!adapter) return 0;
  const ranks = adapter.matrices.filter((name) => name.startsWith(module)).map((name) => adaptedBy(adapter, name).rank);
  return ranks.reduce((sum, rank) => sum + rank, 0) / layers;
}

/**
 * All layers over prompts and completions, as the backward pass needs them, without scores: for each completion the
 * keys and values of its prompt and its own in one.
 */
function decoderKept(
  config: VlmConfig,
  { group, maxTokens, prompts, ...use }: Use,
  adapter: Adapter | undefined,
): number {
  const { layers, kvHeads, headDim } = config.text;
  const { prompt } = lengths(config, { group, maxTokens, prompts, ...use });
  const remembered = 2 * kvHeads * headDim * group * (prompt + maxTokens);
  const tokens = prompt + group * maxTokens;
  const handedOn = config.text.hidden + 2 * config.text.kvHeads * config.text.headDim;
  const floats =
    config.architecture.layerFloats(config).token + adaptedFloats(adapter, config.architecture.modules.layers, layers);
  return prompts * kept(layers, tokens * handedOn, tokens * floats + remembered, use);
}

/** Layers as kept for the backward pass: all whole, or each one's output and one layer whole. */
function kept(
  layers: number,
  stream: number,
  layer: number,
  { gradientCheckpointing = false }: Pick<Use, 'gradientCheckpointing'>,
): number {
  return gradientCheckpointing ? layers * stream + layer : layers * layer;
}

/** One block that sees the whole image, with scores beside their softmax. */
function visionBlock(config: VlmConfig, use: Use): number {
  const { patches } = lengths(config, use);
  return (
    use.prompts * patches * config.architecture.layerFloats(config).patch + 2 * together(scores(config, use).whole)
  );
}

/** All blocks, as the backward pass needs them, without scores. */
function visionKept(config: VlmConfig, use: Use, adapter: Adapter | undefined): number {
  const { depth, hidden } = config.vision;
  return (
    use.prompts *
    lengths(config, use).patches *
    kept(
      depth,
      hidden,
      config.architecture.layerFloats(config).patch + adaptedFloats(adapter, config.architecture.modules.blocks, depth),
      use,
    )
  );
}

/** Floats of a turn's logits: the raw ones, each one's distance below the largest, and its weight. */
function drawnLogits({ text }: VlmConfig, { prompts, group }: Use): number {
  return 3 * prompts * group * text.vocab;
}

/**
 * Floats of the logits that exist at once in training: raw, at their temperature, log-softmax, softmax, and two
 * adjoints.
 */
function scoredLogits({ text }: VlmConfig, { prompts, group, maxTokens }: Use): number {
  return 6 * Math.min(prompts * group * maxTokens * text.vocab, LOGITS);
}

/**
 * Floats of the output head's gradient, if it is a sum over chunks of logits: the sum, a chunk's own, and the next sum.
 */
function chunkedVocabulary({ text }: VlmConfig, { prompts, group, maxTokens }: Use): number {
  return prompts * group * maxTokens * text.vocab > LOGITS ? 3 * text.vocab * text.hidden : 0;
}
