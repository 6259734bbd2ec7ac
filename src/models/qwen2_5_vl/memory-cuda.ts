/**
 * Peak bytes in use of a Qwen2.5-VL on a GPU, as `vlm/memory.ts` counts them for the CPU. Two things differ. All values
 * are float32, and products take copies in the chosen precision. And a freed value's memory is kept for the next one of
 * its size: until the last layer, all values of one layer count, alive or not. A job takes as much as its most
 * demanding phase. `test/cuda/inspect.test.ts` compares the sums with a simulated card.
 */
import { WIDTH } from '../../tensor/graph.js';
import { summed, type Memory } from '../inspected.js';
import { BLOCKS } from '../vlm/attention.js';
import { promptLength, trainedLength } from '../vlm/batch.js';
import type { QwenConfig } from './config.js';
import type { Adapter } from '../vlm/linear.js';
import { adapterShapes } from '../vlm/lora.js';
import { adaptedFloats, learnsToSee, lengths, parameters, scores, type Job, type Use } from '../vlm/memory.js';
import { LOGITS } from '../vlm/scores.js';
import { heldIn, type WeightShape } from '../vlm/weights.js';
import { weightShapes } from './weights.js';

/** Bytes of a value. */
const VALUE = 4;
/** Constants up to this many bytes are computed when a graph is opened, and held. */
const FOLDED = 2 ** 30;

/** Sizes of a run, as in its graph: padded lengths, scores of one layer. */
interface Counted {
  readonly config: QwenConfig;
  readonly use: Use;
  /** Bytes of an element in a product, and of its copy: none if the product takes the value itself. */
  readonly taken: number;
  readonly copy: number;
  /** Patches, and tokens of prompts and completions, of all prompts together. */
  readonly patches: number;
  readonly read: number;
  readonly written: number;
  readonly scores: ReturnType<typeof scores>;
}

type Stage = Readonly<Record<string, number>>;

/** Peak of a job on a GPU. CUDA's own context and its libraries' workspaces come on top. */
export function deviceMemoryOf(config: QwenConfig, job: Job, use: Use): Memory {
  const { copies, ...held } = holding(config, job, use);
  const run = counted(config, job, use);
  const stages =
    job.kind === 'rollout'
      ? [seeing(run), reading(run), writing(run)]
      : training(run, job.kind === 'lora' ? job.adapter : undefined, copies);
  return stages
    .map((stage) => summed({ ...held, ...stage, weights: held.weights + (stage['weights'] ?? 0) }))
    .reduce((most, one) => (one.total > most.total ? one : most));
}

function counted(config: QwenConfig, job: Job, use: Use): Counted {
  const taken = WIDTH[use.precision ?? 'float32'];
  const { patches, prompt } = lengths(config, use);
  const padded = {
    ...use,
    text: (use.text ?? 256) + promptLength(prompt) - prompt,
    maxTokens: job.kind === 'rollout' ? use.maxTokens : trainedLength(use.maxTokens),
  };
  return {
    config,
    use: padded,
    taken,
    copy: taken === VALUE ? 0 : taken,
    patches: use.prompts * patches,
    read: use.prompts * promptLength(prompt),
    written: use.prompts * use.group * padded.maxTokens,
    scores: scores(config, padded),
  };
}

/**
 * Held throughout: frozen weights in the format of products; trained weights in float32 with their gradient's sum and
 * AdamW's moments, and copies for products. With the optimizer on the host no moments, and a trained checkpoint as a
 * frozen one.
 */
function holding(
  config: QwenConfig,
  job: Job,
  { precision = 'float32', optimizer }: Use,
): { readonly weights: number; readonly gradients: number; readonly moments: number; readonly copies: number } {
  const [taken, shapes] = [WIDTH[precision], weightShapes(config)];
  const bytes = (some: readonly WeightShape[], of: (shape: WeightShape) => number): number =>
    some.reduce((all, shape) => all + of(shape) * parameters([shape]), 0);
  const frozen = bytes(shapes, (shape) => WIDTH[heldIn(shape, precision)]);
  if (job.kind === 'rollout') return { weights: frozen, gradients: 0, moments: 0, copies: 0 };
  // An untied embedding table is only looked up.
  const multiplied = ({ name, sizes }: WeightShape): boolean =>
    Object.keys(sizes).length > 1 && (config.text.tied || name !== 'model.embed_tokens.weight');
  const copies = (some: readonly WeightShape[]): number =>
    taken === VALUE ? 0 : bytes(some.filter(multiplied), () => taken);
  const learning = job.kind === 'lora' ? adapterShapes(config, job.adapter) : shapes;
  const count = parameters(learning);
  const away = optimizer === 'host';
  const narrow = away && job.kind === 'full';
  return {
    weights: job.kind === 'lora' ? frozen + VALUE * count : narrow ? frozen : VALUE * count,
    gradients: VALUE * count,
    moments: away ? 0 : 2 * VALUE * count,
    copies: narrow ? 0 : copies(learning),
  };
}

/** Of a number of scores, those that exist at once. */
const together = (all: number): number => (all > BLOCKS.cuda.together ? BLOCKS.cuda.block : all);

/** The vision tower over all images, before the decoder begins: values of one block. */
function seeing(run: Counted): Stage {
  const {
    copy,
    patches,
    scores: { whole, window },
  } = run;
  return {
    'vision tower': pixels(run) + patches * seenBytes(run) + (2 * VALUE + copy) * together(Math.max(whole, window)),
  };
}

/** Pixels as they are fed, and as a product takes them. */
function pixels({ config: { vision }, copy, patches }: Counted): number {
  return patches * 3 * vision.temporalPatch * vision.patch ** 2 * (VALUE + copy);
}

/**
 * Values of a block for one patch: 21 values of the stream's width, queries, keys and values joined among them, and 3
 * of the inner one; copies of 9 and 1. Where blocks of scores are cut by heads, one image's three are there once more,
 * and as a turn takes them.
 */
function seenBytes({ config: { vision }, use, copy, scores: { whole } }: Counted): number {
  const cut = whole > BLOCKS.cuda.together ? (6 * VALUE) / use.prompts : 0;
  return (
    vision.hidden * (21 * VALUE + (copy === 0 ? VALUE : 9 * copy) + cut) + vision.intermediate * (3 * VALUE + copy)
  );
}

/** The decoder over prompts, and its cache of them. */
function reading(run: Counted): Stage {
  const {
    config: { text },
    copy,
    taken,
    read,
    scores: { prompt },
  } = run;
  const layer =
    read * (text.intermediate * (3 * VALUE + copy) + wide(run) * (6 * VALUE + (copy === 0 ? VALUE : 4 * copy)));
  return {
    'decoder and its cache':
      layer + (2 * VALUE + 2 * (copy || VALUE / 2)) * together(prompt) + remembered(run, read) * taken,
  };
}

/** Width of the stream and of all heads, which are equal in published models. */
const wide = ({ config: { text } }: Counted): number => (text.hidden + text.heads * text.headDim) / 2;

/** Keys and values of all layers, of some tokens. */
function remembered({ config: { text } }: Counted, tokens: number): number {
  return 2 * text.layers * text.kvHeads * text.headDim * tokens;
}

/**
 * The loop that writes, at its end: keys and values of completions as the last turn found them, as it left them, and as
 * they leave; logits as they came, below the largest, weighed, summed up, and the next.
 */
function writing(run: Counted): Stage {
  const {
    config: { text },
    use,
    taken,
    read,
    written,
  } = run;
  return {
    'decoder and its cache': taken * (remembered(run, read) + 3 * remembered(run, written)),
    logits: 5 * VALUE * use.prompts * use.group * text.vocab,
  };
}

/**
 * Stages of an update: logits are scored; the gradient of the vocabulary's table is added up, what it begins at, what
 * it was, what comes
 * and what it is then being four of its size; the decoder's last layer is gone back through; with all that gone, the
 * table's gradient gets
 * what its rows were looked up for; and before all of them the vision tower.
 */
function training(run: Counted, adapter: Adapter | undefined, copies: number): readonly Stage[] {
  const {
    config: { text },
    use,
    copy,
    read,
    written,
  } = run;
  const tokens = read + written;
  const again = use.gradientCheckpointing === true;
  const { layers, spare, back } = decoderKept(run, adapter);
  const seen = learnsToSee(run.config, adapter) ? seenKept(run, adapter) : 0;
  const { kept, more, turn } = scoresKept(run, learnsToSee(run.config, adapter));
  const { scored, left } = scoredLogits(run);
  const table = adapter ? 0 : text.vocab * text.hidden * VALUE;
  // What a table's gradient begins at, where the runtime computes it ahead.
  const zeros = table <= FOLDED ? table : 0;
  const chunked = written * text.vocab > LOGITS;
  const upTo = { weights: copies, 'vision tower': seen, decoder: layers + tokens * spare, scores: kept + VALUE * more };
  return [
    { ...upTo, logits: scored, vocabulary: zeros + (chunked ? 2 * table : 0) },
    { ...upTo, logits: left, vocabulary: zeros + (chunked ? 4 * table : table * (1 + copy / VALUE)) },
    {
      ...upTo,
      decoder: layers + tokens * (again ? back : spare),
      scores: kept + (2 * VALUE + copy) * more + turn,
      vocabulary: zeros + table,
    },
    { 'vision tower': seen, vocabulary: zeros + 4 * table },
    { ...seeing(run), vocabulary: zeros },
  ];
}

/**
 * Of all layers what the backward pass needs; of a token, what more of the last one has its room while logits are
 * scored, and while that layer is gone back through.
 *
 * Kept are of a token the stream twice and what is gathered, gate as it comes and bent, up; and as products take them
 * both norms, queries,
 * what is gathered in order, the gated; and for each completion the keys and values of its prompt and its own in one.
 * What has a room
 * beside that is what a stand-in counted, for the last layer's rooms are handed on in an order that the runtime
 * chooses.
 */
function decoderKept(
  run: Counted,
  adapter: Adapter | undefined,
): { readonly layers: number; readonly spare: number; readonly back: number } {
  const {
    config: { text },
    use,
    taken,
    copy,
    read,
    written,
  } = run;
  const inner = text.intermediate;
  const token =
    inner * (3 * VALUE + taken) +
    wide(run) * (3 * VALUE + 4 * taken) +
    taken * adaptedFloats(adapter, 'model.layers.', text.layers);
  const ofPrompts = 2 * text.kvHeads * text.headDim * use.group * read;
  const layer = (read + written) * token + (ofPrompts + 2 * text.kvHeads * text.headDim * written) * (VALUE + taken);
  // Prompts' keys and values, once for each completion, are not recomputed.
  const handedOn = VALUE * ((read + written) * (text.hidden + 2 * text.kvHeads * text.headDim) + ofPrompts);
  return {
    layers: use.gradientCheckpointing === true ? text.layers * handedOn + layer : text.layers * layer,
    spare: copy === 0 ? (inner + 3 * wide(run)) * VALUE : 2 * inner * VALUE + wide(run) * (4 * VALUE + 3 * copy),
    back: (copy === 0 ? 3 : 3.5) * inner * VALUE + (copy === 0 ? 8 : 7) * wide(run) * VALUE,
  };
}

/** Blocks of the vision tower, as kept for the backward pass. */
function seenKept(run: Counted, adapter: Adapter | undefined): number {
  const {
    config: { vision },
    use,
    taken,
    copy,
    patches,
    scores: { whole },
  } = run;
  const { depth, hidden, intermediate } = vision;
  if (use.gradientCheckpointing === true)
    return (
      patches * (depth * hidden * VALUE + seenBytes(run) + 5 * hidden * VALUE) +
      (whole > BLOCKS.cuda.together ? 0 : (2 * VALUE + copy) * whole) +
      pixels(run)
    );
  const one =
    hidden * (5 * VALUE + (adapter ? 3 : 5) * taken) +
    intermediate * (3 * VALUE + taken) +
    taken * adaptedFloats(adapter, 'visual.blocks.', depth);
  const spare = hidden * (copy === 0 ? 8 : 26) + intermediate * 6;
  return patches * (depth * one + spare) + pixels(run);
}

/**
 * Shares that are kept for the backward pass, and as products take them; scores of one layer whose rooms stay beside
 * them; and what a turn
 * makes where they are cut.
 */
function scoresKept(
  { config: { text, vision }, use, copy, scores: { prompt, completions, whole, window } }: Counted,
  sees: boolean,
): { readonly kept: number; readonly more: number; readonly turn: number } {
  const again = use.gradientCheckpointing === true;
  const keep = (all: number): number => (all > BLOCKS.cuda.together ? 0 : all);
  const more = keep(prompt) + keep(completions);
  const blocks =
    sees && !again
      ? vision.fullAttention.length * keep(whole) + (vision.depth - vision.fullAttention.length) * keep(window)
      : 0;
  const cut = Math.max(prompt, completions) > BLOCKS.cuda.together;
  return {
    kept: (VALUE + copy) * ((again ? 1 : text.layers) * more + blocks),
    more,
    turn: cut ? (3 * VALUE + 2 * copy) * BLOCKS.cuda.block : 0,
  };
}

/**
 * Logits of a chunk: as they come, at their temperature, and two adjoints; and what of them is left for the table's
 * gradient.
 */
function scoredLogits({ config: { text }, copy, written }: Counted): {
  readonly scored: number;
  readonly left: number;
} {
  const most = Math.max(1, Math.floor(LOGITS / text.vocab));
  const chunk = text.vocab * Math.ceil(written / Math.ceil(written / most));
  return { scored: (4 * VALUE + copy) * chunk, left: (copy || VALUE) * chunk };
}
