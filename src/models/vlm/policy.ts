import { ModelError } from '../../errors.js';
import type { PromptTemplate } from '../../prompts/template.js';
import type { Precision } from '../../tensor/graph.js';
import type { Device, Engine } from '../../tensor/engine.js';
import { openEngine, type EngineName } from '../../tensor/engines.js';
import { unusedText } from '../inspected.js';
import type { Policy, Resumable, Trainable } from '../policy.js';
import { BLOCKS } from './attention.js';
import type { Build } from './build.js';
import { openChat, type Chat } from './chat.js';
import type { VlmConfig } from './architecture.js';
import { encoding } from './encoding.js';
import { learnerOf } from './learner.js';
import { heldLayout, optimizerOf, type OptimizerPlace } from './optimizer.js';
import { BASE, loadParameters, type Parameters, type Training } from './parameters.js';
import { graphCache } from './graph-cache.js';
import { referenceOf } from './reference.js';
import { runsOf, type Runs } from './microbatches.js';
import { gradient, scores, generate, type Model, type RunOptions } from './inference.js';
import { openTokenizer, type Tokenizer } from './tokenizer.js';
import { supervisedInputsOf, trainGraphOf } from './losses.js';
import { lendWeights } from './weight-files.js';
import type { FirstValues } from './weights.js';
import { suppressedIds } from './completions.js';

export interface VlmOptions extends Training, RunOptions {
  /** Format of products and frozen matrices; float32 by default. Trained weights are float32. */
  readonly precision?: Precision;
  /** The engine; default `onnx`. */
  readonly runtime?: EngineName;
  /** Default: the CPU. */
  readonly device?: Device;
  /** Where AdamW's moments and float32 weights are; on the device by default. */
  readonly optimizer?: OptimizerPlace;
  /** Called with notices, such as that runs have become smaller. */
  readonly notice?: (text: string) => void;
  /** What the policy is asked; the same for every sample, or by its task. */
  readonly prompt: PromptTemplate | ((task: string) => PromptTemplate);
  /** Threads that run side by side, each with a copy of the weights. */
  readonly workers: number;
  /** Cores that one job may use. */
  readonly threads: number;
  /** Weights that exist only in training, with their initial values. */
  readonly extra?: (config: VlmConfig) => readonly FirstValues[];
}

/** The policy, with the parts of its prompts. */
export type VlmPolicy = Policy & Resumable & Trainable & { readonly config: VlmConfig; readonly tokenizer: Tokenizer };

/** The contents of a checkpoint's folder. */
interface Opened {
  readonly config: VlmConfig;
  readonly tokenizer: Tokenizer;
  readonly chat: Chat;
  /** The trained weights; the base belongs to the engine. */
  readonly own: Omit<Parameters, 'frozen' | 'unused'>;
  readonly extra: readonly FirstValues[];
  /** Format of the checkpoint's matrices. */
  readonly held: Precision;
}

/**
 * Opens a Hugging Face checkpoint folder.
 *
 * @param config as the folder's family reads it.
 * @throws {ModelError} before any session is made, naming file, key or tensor, expected and got.
 */
export async function openVlm(dir: string, config: VlmConfig, options: VlmOptions): Promise<VlmPolicy> {
  const extra = options.extra?.(config) ?? [];
  const [tokenizer, chat, { frozen, ...own }] = await Promise.all([
    openTokenizer(dir),
    openChat(dir),
    loadParameters(dir, config, options, extra),
  ]);
  const unused = unusedText(own.unused);
  if (unused !== undefined) options.notice?.(`${dir}  weights: tensors that are not used: ${unused}`);
  const engine = openEngine(options);
  const precision = options.precision ?? 'float32';
  const narrow = options.optimizer === 'host' && engine.traits.halves;
  const trained = narrow ? { ...own.trained, layout: heldLayout(config, own.trained, precision) } : own.trained;
  try {
    if (frozen) await lendWeights(engine, BASE, frozen, options.precision);
    await engine.parameters(trained.name, trained.layout, trained.values);
  } catch (error) {
    // Else the device's memory would not be freed.
    await engine.release();
    throw error;
  }
  return policyOn(
    engine,
    dir,
    { config, tokenizer, chat, own: { ...own, trained }, extra, held: frozen || narrow ? precision : 'float32' },
    options,
  );
}

/** Graphs open at once on a GPU, where each has its libraries' workspaces. */
const MOST_GRAPHS = 16;

/** Microbatches, for each kind of work. */
function cutBy(dir: string, { batch, tokens, notice = () => {} }: VlmOptions): Model['runs'] {
  const kind = (name: string): Runs =>
    runsOf({ batch, tokens }, (smaller) =>
      notice(
        `${dir}  ${name}: memory ran out; from here on ${smaller.batch === 1 ? 'a run has one prompt' : `runs have at most ${smaller.batch} prompts`}${smaller.tokens === undefined ? '' : ` and ${smaller.tokens} tokens`}, which changes no result`,
      ),
    );
  return { write: kind('rollout'), score: kind('scores'), train: kind('update') };
}

function policyOn(
  engine: Engine,
  dir: string,
  { config, tokenizer, chat, own, extra, held }: Opened,
  options: VlmOptions,
): VlmPolicy {
  const { trained, adapter } = own;
  const graphs = graphCache(engine, engine.traits.device === 'cpu' ? Infinity : MOST_GRAPHS);
  const precision = options.precision ?? 'float32';
  const optimizer = optimizerOf(engine, trained, options.workers * options.threads, options.optimizer);
  const reference = referenceOf(dir, config, trained, optimizer, engine, graphs, precision, held, extra);
  const learner = learnerOf(dir, config, own, reference, optimizer);
  const parameters = trained.layout.length;
  const sets = [...new Set([trained.name, BASE])];
  const build: Build = {
    precision,
    blocks: BLOCKS[engine.traits.device],
    held,
    adapter,
    sums: engine.learning !== undefined,
  };
  const model: Model = {
    ...options,
    moments: options.optimizer !== 'host',
    name: dir,
    runs: cutBy(dir, options),
    config,
    build,
    parameters,
    sets,
    suppressed: options.suppressed ?? suppressedIds(config, tokenizer),
    engine,
    graphs,
  };
  return {
    name: dir,
    coordinates: config.architecture.coordinates,
    config,
    tokenizer,
    batch: options.batch,
    parameters,
    ...encoding(config, tokenizer, chat, options.prompt),
    generate: (request) => generate(model, request),
    scores: (request) => scores(model, request),
    async referenceScores(request) {
      const { set, held: own } = await reference.set();
      return scores({ ...model, build: { ...build, held: own, adapter: undefined }, sets: [set] }, request);
    },
    async gradient({ loss, ...request }) {
      if (parameters === 0)
        throw new ModelError(`${dir}  train: expected weights that learn; got a policy opened with "none"`);
      return gradient(model, await trainGraphOf(loss, config, tokenizer), request);
    },
    supervisedInputs: (loss, row, prompt, answer) => supervisedInputsOf(config, tokenizer, loss, row, prompt, answer),
    get version() {
      return learner.version;
    },
    step: (sum, how) => learner.step(sum, how),
    mixReference: (share) => reference.mix(share),
    pause: (ready) => learner.pause(ready),
    saveTraining: (to) => learner.saveTraining(to),
    restore: (from) => learner.restore(from),
    async save(to) {
      await optimizer.values();
      await own.save(to);
    },
    async release() {
      try {
        await learner.release();
      } finally {
        await engine.release();
      }
    },
  };
}
