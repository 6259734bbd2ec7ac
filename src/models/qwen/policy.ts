import { join } from 'node:path';

import { ModelError, NonFiniteError } from '../../errors.js';
import type { Image, Sample } from '../../records.js';
import { adamState, adamw, clipScale, gradientNorm, type AdamState } from '../../tensor/adamw.js';
import { mixInto } from '../../tensor/mix.js';
import type { Program } from '../../tensor/onnx.js';
import { openEngine, type Answer, type Engine } from '../../tensor/session.js';
import { combined, type EncodedPrompt, type Gradient, type Policy, type Resumable, type StepOptions, type TrainRow, type WriteOptions, type Written } from '../policy.js';
import { chunks, completionFeeds, completionLength, packed, prefixFeeds, prefixShape } from './batch.js';
import { expandImages, openChat, type Chat } from './chat.js';
import { readConfig, type QwenConfig } from './config.js';
import { inTurn } from './in-turn.js';
import type { Adapter } from './lora.js';
import { imageTokens, patches } from './processor.js';
import { BASE, loadParameters, type Parameters, type Training } from './parameters.js';
import { messagesOf, prompts, type PromptTemplate } from './prompts.js';
import { rolloutProgram, seenIds, type RolloutShape } from './rollout.js';
import type { Recompute } from './text.js';
import { openTokenizer, type Tokenizer } from './tokenizer.js';
import { scoreProgram, trainProgram, type BatchShape, type TrainGraph } from './train.js';
import { AVERAGE, restoreTraining, saveTraining } from './training-state.js';
import { findWeights, lendWeights, readWeights } from './weight-files.js';
import type { FirstValues } from './weights.js';
import { completions, suppressedIds } from './written.js';

export interface QwenOptions extends Training {
  /** What the policy is asked; the checkpoint's own prompt, or else Seg-R1's, unless told. */
  readonly prompt?: PromptTemplate | ((task: string) => PromptTemplate);
  /** Threads that hold the weights; jobs run side by side on them. */
  readonly workers: number;
  /** Cores that one job may use. */
  readonly threads: number;
  /** Prompts in one run. */
  readonly batch: number;
  /** Tokens in one training run, padding included, where that means fewer prompts; no bound unless told. */
  readonly tokens?: number;
  /** Ids that are never written, and count as impossible when completions are scored; those that mean vision or padding, or nothing, unless told. */
  readonly suppressed?: readonly number[];
  /** What an update computes twice to keep less; nothing unless told. */
  readonly recompute?: Recompute;
  /** Weights that exist in training only, with their first values. */
  readonly extra?: (config: QwenConfig) => readonly FirstValues[];
}

/** The policy with its own kind of training graph. */
export type QwenPolicy = Policy<TrainGraph> & Resumable & { readonly config: QwenConfig; readonly tokenizer: Tokenizer };

/**
 * Opens a Hugging Face checkpoint folder of the Qwen2.5-VL architecture.
 *
 * @throws {ModelError} before any session is made, naming file, key or tensor, expected and got.
 */
export async function openQwen(dir: string, options: QwenOptions): Promise<QwenPolicy> {
  const config = await readConfig(dir);
  const [tokenizer, chat, { frozen, ...own }] = await Promise.all([openTokenizer(dir), openChat(dir), loadParameters(dir, config, options, options.extra?.(config))]);
  const engine = openEngine(options);
  if (frozen) await lendWeights(engine, BASE, frozen);
  await engine.parameters(own.trained.name, own.trained.layout, own.trained.values);
  return new Qwen(dir, config, tokenizer, chat, own, engine, options);
}

/** What learns; what it stands on is the engine's alone. */
type Own = Omit<Parameters, 'frozen'>;

/** Set name of what a divergence is measured from, where that is not the base. */
const REFERENCE = 'reference';

/** Rows of one training run. */
interface Chunk {
  readonly indices: readonly number[];
  readonly part: readonly TrainRow[];
  readonly shape: BatchShape;
}

class Qwen implements QwenPolicy {
  readonly name: string;
  readonly config: QwenConfig;
  readonly tokenizer: Tokenizer;
  readonly #chat: Chat;
  readonly #own: Own;
  readonly #engine: Engine;
  readonly #options: QwenOptions;
  readonly #programs = new Map<string, Promise<Program>>();
  readonly #suppressed: readonly number[];
  #reference: Promise<void> | undefined;
  /** The reference in the layout of what learns, once something was mixed into it. */
  #mixed: Float32Array | undefined;
  #adam: AdamState | undefined;
  /** Of the weights after each step, where a step asked for it. */
  #average: Float32Array | undefined;
  #version = 0;
  #held: Promise<unknown> = Promise.resolve();

  constructor(name: string, config: QwenConfig, tokenizer: Tokenizer, chat: Chat, own: Own, engine: Engine, options: QwenOptions) {
    this.name = name;
    this.config = config;
    this.tokenizer = tokenizer;
    this.#chat = chat;
    this.#own = own;
    this.#engine = engine;
    this.#options = options;
    this.#suppressed = options.suppressed ?? suppressedIds(config, tokenizer);
  }

  get version(): number {
    return this.#version;
  }

  get parameters(): number {
    return this.#own.trained.layout.length;
  }

  /** Where runs look weights up, what learns first. */
  get #sets(): readonly string[] {
    return [...new Set([this.#own.trained.name, BASE])];
  }

  get batch(): number {
    return this.#options.batch;
  }

  encode(sample: Pick<Sample, 'instruction'> & Partial<Pick<Sample, 'task'>>, ...pictures: readonly Image[]): EncodedPrompt {
    const { prompt = this.config.prompt ?? prompts.rl } = this.#options;
    const messages = messagesOf(typeof prompt === 'function' ? prompt(sample.task ?? 'foreground') : prompt, sample.instruction, pictures.length);
    const text = this.#chat.render(messages);
    const images = pictures.map((image) => patches(image, this.config));
    const counts = images.map(({ grid }) => imageTokens(grid, this.config));
    return { text, tokens: expandImages(this.tokenizer.encode(text), counts, this.config.tokens.image), images };
  }

  answer(text: string): number[] {
    return [...this.tokenizer.encode(text), this.config.tokens.eos[0] as number];
  }

  decode(tokens: readonly number[]): string {
    return this.tokenizer.decode(tokens);
  }

  async write(asked: readonly EncodedPrompt[], options: WriteOptions): Promise<Written[][]> {
    const written: Written[][] = Array.from({ length: asked.length });
    await Promise.all(
      chunks(asked, this.#options.batch).map(async (indices) => {
        const answers = await this.#writeChunk(indices.map((i) => asked[i] as EncodedPrompt), indices, options);
        for (const [at, index] of indices.entries()) written[index] = answers[at] as Written[];
      }),
    );
    return written;
  }

  async #writeChunk(asked: readonly EncodedPrompt[], indices: readonly number[], { group, temperature, maxTokens, uniform, ...sampling }: WriteOptions): Promise<Written[][]> {
    const shape: RolloutShape = {
      ...prefixShape(asked, this.#options.batch),
      samples: group,
      maxTokens,
      greedy: temperature === 0,
      suppressed: this.#suppressed,
      ends: this.config.tokens.eos,
      ...sampling,
    };
    const program = await this.#open(`write ${JSON.stringify({ ...shape, suppressed: 0 })}`, () => rolloutProgram(this.config, shape, this.#own.adapter));
    const feeds = prefixFeeds(this.config, asked, shape, maxTokens);
    if ((sampling.repetitionPenalty ?? 1) !== 1) feeds['seen'] = seenIds(asked.map(({ tokens }) => tokens), shape.prompts, this.config.text.vocab);
    if (!shape.greedy) {
      const uniforms = new Float32Array(shape.prompts * group * maxTokens);
      for (const [p, index] of indices.entries()) {
        for (let s = 0; s < group; s++) for (let t = 0; t < maxTokens; t++) uniforms[(p * group + s) * maxTokens + t] = uniform(index, s, t);
      }
      feeds['uniforms'] = uniforms;
      feeds['temperature'] = Float32Array.of(temperature);
    }
    return completions(await this.#engine.run(program, feeds, this.#sets), shape, asked.length);
  }

  async reference(rows: readonly TrainRow[], temperature: number): Promise<number[][][]> {
    return this.#score(rows, temperature, [await this.#referenceSet()]);
  }

  scores(rows: readonly TrainRow[], temperature: number): Promise<number[][][]> {
    return this.#score(rows, temperature, this.#sets, this.#own.adapter);
  }

  async #score(rows: readonly TrainRow[], temperature: number, sets: readonly string[], adapter?: Adapter): Promise<number[][][]> {
    const scores: number[][][] = Array.from({ length: rows.length });
    await Promise.all(
      this.#chunked(rows).map(async ({ indices, part, shape }) => {
        const of = sets.join(' ');
        const program = await this.#open(`score ${of} ${JSON.stringify({ ...shape, suppressed: 0 })}`, () => scoreProgram(this.config, shape, of, adapter), sets);
        const { outputs } = await this.#engine.run(program, this.#feeds(part, shape, temperature), sets);
        const all = outputs['logProbs'] as Float32Array;
        for (const [r, index] of indices.entries()) {
          scores[index] = (part[r] as TrainRow).completions.map((tokens, s) => {
            const at = (r * shape.samples + s) * shape.length;
            return Array.from(all.subarray(at, at + tokens.length));
          });
        }
      }),
    );
    return scores;
  }

  /** What is only read never changes. Else the checkpoint is read again: without a KL term there is no second copy of the weights. */
  async #referenceSet(): Promise<string> {
    if (this.#own.trained.name !== BASE) return BASE;
    this.#reference ??= findWeights(this.name, this.config).then((files) => lendWeights(this.#engine, REFERENCE, files));
    await this.#reference;
    return REFERENCE;
  }

  async gradient(graph: TrainGraph, rows: readonly TrainRow[], temperature: number): Promise<Gradient> {
    if (this.parameters === 0) throw new ModelError(`${this.name}  train: expected weights that learn; got a policy opened with "none"`);
    let gradient: Float32Array | undefined;
    const metrics: Record<string, number> = {};
    const run = async ({ part, shape }: Chunk): Promise<Answer> => {
      const program = await this.#open(`train ${graph.name} ${JSON.stringify({ ...shape, suppressed: 0 })}`, () => trainProgram(this.config, shape, graph, this.#own.adapter));
      return this.#engine.run(program, this.#feeds(part, shape, temperature), this.#sets);
    };
    await inTurn(this.#chunked(rows), this.#engine.workers, run, ({ gradient: part = new Float32Array(), outputs, sizes }) => {
      gradient = gradient ? added(gradient, part) : part;
      for (const [name, value] of Object.entries(outputs)) {
        if (sizes[name]?.length === 0) metrics[name] = combined(name, metrics[name], Number(value[0]));
      }
    });
    return { gradient: gradient ?? new Float32Array(this.parameters), metrics };
  }

  async step(gradient: Float32Array, { ema, maxNorm, ...options }: StepOptions): Promise<number> {
    const norm = gradientNorm(gradient);
    if (!Number.isFinite(norm)) throw new NonFiniteError(`${this.name}  step ${this.#version + 1}: expected a finite gradient; got a norm of ${norm}`);
    await this.#held;
    const { name, layout, values } = this.#own.trained;
    this.#adam ??= adamState(layout);
    const average = ema === undefined ? undefined : (this.#average ??= Float32Array.from(values));
    adamw(layout, values, gradient, this.#adam, { ...options, gradientScale: clipScale(norm, maxNorm) });
    if (average && ema !== undefined) mixInto(average, values, 1 - ema);
    await this.#engine.parameters(name, layout, values, this.#version + 1);
    this.#version++;
    return norm;
  }

  async mixReference(mix: number): Promise<void> {
    const { name, values } = this.#own.trained;
    if (name !== BASE) throw new ModelError(`${this.name}  reference: expected weights of its own, as where all of the policy's learn; got the checkpoint below ${name}, which is only read`);
    const mixed = this.#mixed ?? (await readWeights(await findWeights(this.name, this.config), this.#options.extra?.(this.config))).values;
    mixInto(mixed, values, mix);
    await this.#refer(mixed);
  }

  /** Takes values for the reference in place of the checkpoint's. */
  async #refer(mixed: Float32Array): Promise<void> {
    const own = [...this.#programs].filter(([key]) => !this.#mixed && key.startsWith(`score ${REFERENCE} `));
    for (const [key, program] of own) {
      // Opened on the checkpoint's files, where a graph goes on looking.
      this.#programs.delete(key);
      await this.#engine.close(await program);
    }
    this.#mixed = mixed;
    this.#reference = this.#engine.parameters(REFERENCE, this.#own.trained.layout, mixed);
    await this.#reference;
  }

  save(dir: string): Promise<void> {
    return this.#own.save(dir);
  }

  hold(ready: Promise<unknown>): void {
    this.#held = ready;
  }

  async saveTraining(dir: string): Promise<void> {
    if (this.#average) await this.#own.save(join(dir, AVERAGE), this.#average);
    await saveTraining(dir, this.#own.trained, { version: this.#version, adam: this.#adam, reference: this.#mixed, average: this.#average });
  }

  async restore(dir: string): Promise<void> {
    const { name, layout, values } = this.#own.trained;
    const { version, adam, reference, average } = await restoreTraining(dir, this.#own.trained);
    await this.#engine.parameters(name, layout, values, version);
    if (reference) await this.#refer(reference);
    this.#adam = adam;
    this.#average = average;
    this.#version = version;
  }

  release(): Promise<void> {
    return this.#engine.release();
  }

  #chunked(rows: readonly TrainRow[]): Chunk[] {
    return packed(rows, this.#options.batch, this.#options.tokens).map(({ indices, room }) => {
      const part = indices.map((i) => rows[i] as TrainRow);
      const prefix = prefixShape(part.map(({ prompt }) => prompt), room);
      const samples = Math.max(...part.map(({ completions: all }) => all.length));
      return { indices, part, shape: { ...prefix, samples, length: completionLength(part), suppressed: this.#suppressed, recompute: this.#options.recompute ?? 'none' } };
    });
  }

  #feeds(part: readonly TrainRow[], shape: BatchShape, temperature: number): Record<string, Float32Array> {
    const prefix = prefixFeeds(this.config, part.map(({ prompt }) => prompt), shape, shape.length);
    return { ...prefix, ...completionFeeds(part, shape, this.config.tokens.pad), temperature: Float32Array.of(temperature) } as Record<string, Float32Array>;
  }

  #open(key: string, make: () => Program, sets = this.#sets): Promise<Program> {
    const known = this.#programs.get(key);
    if (known) return known;
    const opening = (async () => {
      const program = make();
      await this.#engine.open(program, sets);
      return program;
    })();
    this.#programs.set(key, opening);
    return opening;
  }
}

/** The sum, in place of `sum`. */
function added(sum: Float32Array, part: Float32Array): Float32Array {
  for (let i = 0; i < part.length; i++) sum[i] = (sum[i] as number) + (part[i] as number);
  return sum;
}
