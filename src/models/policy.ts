import type { Objective } from '../objectives/objective.js';
import type { ObjectiveSpec } from '../objectives/spec.js';
import type { Key } from '../random.js';
import type { Fitted, Image, Sample } from '../records.js';
import type { AdamOptions } from '../tensor/adamw.js';

/** Units in which a policy writes where things are: pixels of the frame it was shown, or thousandths of its sides. */
export type Coordinates = 'pixels' | 'thousandths';

/** What the policy is told about one sample, ready to be read. */
export interface EncodedPrompt {
  /** As text, one placeholder an image. */
  readonly text: string;
  /** Image placeholders expanded. */
  readonly tokens: readonly number[];
  /** In the order of their placeholders: [patch × pixel], rows and columns of patches; none for text alone. */
  readonly images: readonly {
    readonly pixels: Float32Array;
    readonly grid: { readonly h: number; readonly w: number };
  }[];
}

/** One completion as ids. */
export interface GeneratedCompletion {
  /** The end token included where one was written. */
  readonly tokens: readonly number[];
  /** Of the distribution drawn from. */
  readonly logProbs: readonly number[];
  /** Of each token's distribution, nats; where it was asked for. */
  readonly entropies?: readonly number[];
  readonly finish: 'stop' | 'length';
  /** Optimizer steps that the weights had seen which wrote it. */
  readonly version: number;
}

/**
 * What a token may be, in the order in which it is applied, the temperature behind the penalty; what isn't told is off.
 */
export interface Sampling {
  /**
   * Above 1 makes ids rarer that the prompt or the completion has: their logits are divided by it if above 0, else
   * multiplied.
   */
  readonly repetitionPenalty?: number;
  /** Draws among so many of the likeliest, and what ties with the last of them; 0 among all. */
  readonly topK?: number;
  /** Leaves out the least likely tokens that have no more than 1 - topP together; never all. */
  readonly topP?: number;
  /** Leaves out tokens less likely than this share of the likeliest. */
  readonly minP?: number;
  /** Whether completions come with `entropies`. */
  readonly entropy?: boolean;
}

/** What makes the draws of a rollout, a key or a list of numbers a prompt. */
export type Randomness =
  /** The draw of completion `s` at token `t` is `uniform(...key, s, t)`, see `src/random.ts`. */
  | { readonly keys: readonly Key[] }
  /** The draws themselves, in [0, 1), [completion × token]. */
  | { readonly uniforms: readonly Float32Array[] };

/** What `generate` is asked. */
export interface GenerateRequest extends Sampling {
  readonly prompts: readonly EncodedPrompt[];
  /** Completions a prompt. */
  readonly group: number;
  /** 0 writes the likeliest token, of all. */
  readonly temperature: number;
  readonly maxTokens: number;
  /** Needed where `temperature` is above 0. */
  readonly random?: Randomness;
}

/** What `scores` and `referenceScores` are asked. */
export interface ScoreRequest {
  readonly rows: readonly TrainRow[];
  /** That completions were written at. */
  readonly temperature: number;
}

/** What `gradient` is asked. */
export interface GradientRequest extends ScoreRequest {
  readonly loss: Loss;
}

/** What is minimised. */
export type Loss =
  /** A policy-gradient objective: plain data, or in one process an object of functions. */
  | { readonly objective: ObjectiveSpec | Objective }
  /** Cross-entropy on given answers, and what may be learned beside them. */
  | { readonly supervised: SupervisedLoss };

export interface SupervisedLoss {
  /** Weight of the patch-mask loss; 0 is none. */
  readonly patchMask: number;
  /** Standard deviation, in units of the number, of a Gaussian target around number tokens; 0 is the token alone. */
  readonly softNumbers: number;
  /** Whether the prompts' words are learned as well; default `masked`. */
  readonly prompt?: 'masked' | 'learned';
}

/** One prompt with its completions, and what the loss needs beside them. */
export interface TrainRow {
  readonly prompt: EncodedPrompt;
  /** [sample][token] */
  readonly completions: readonly (readonly number[])[];
  /** Inputs by name, [sample][token]; 0 behind a completion's end. */
  readonly perToken: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** Inputs by name, [sample]. */
  readonly perSample?: Readonly<Record<string, readonly number[]>>;
  /** Inputs by name, as the graph declares them a prompt. */
  readonly perPrompt?: Readonly<Record<string, Float32Array>>;
}

/** What the rows of one optimizer step gave. */
export interface Gradient {
  /**
   * Summed in row order, in the parameters' layout; empty where it stays on the device for the step that follows, until
   * the next gradient takes its place.
   */
  readonly gradient: Float32Array;
  /** Scalar outputs of the graph, over all its runs; see `combined`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** AdamW's settings of one step, and what is done around it. */
export interface StepOptions extends AdamOptions {
  /** Largest norm of the gradient. */
  readonly maxNorm: number;
  /**
   * Share of a running average of the weights that the step keeps, the rest being the weights after it; none is kept
   * by default.
   */
  readonly ema?: number;
}

/**
 * A scalar of one run with that of the runs before: their sum; the smaller of the two where its name ends in `Min`, the
 * larger where it ends in `Max`.
 */
export function combined(name: string, before: number | undefined, value: number): number {
  if (before === undefined) return value;
  if (name.endsWith('Min')) return Math.min(before, value);
  return name.endsWith('Max') ? Math.max(before, value) : before + value;
}

/** A vision-language policy: writes completions, and learns from them. Its requests and answers are plain data. */
export interface Policy {
  /** Of the checkpoint that it was read from; part of a run's metadata. */
  readonly name: string;
  /** Optimizer steps taken since it was opened. */
  readonly version: number;
  /** Weights that a step changes. */
  readonly parameters: number;
  /** Prompts that one run takes; calls with more are cut up. */
  readonly batch: number;
  /** Units in which its completions say where things are. */
  readonly coordinates: Coordinates;

  /**
   * What the policy is told about a sample.
   *
   * @param images at the sample's frame size, or sizes of their own; none for text alone.
   */
  encode(
    sample: Pick<Sample, 'instruction'> & Partial<Pick<Sample, 'task'>>,
    ...images: readonly Image[]
  ): EncodedPrompt;
  /** Ids of an answer with its end token, as supervised training wants it. */
  encodeAnswer(text: string): number[];
  /** Text of a completion, without its end token. */
  decode(tokens: readonly number[]): string;
  /** Writes `group` completions a prompt, in order. @throws {UsageError} where draws are needed and not given. */
  generate(request: GenerateRequest): Promise<GeneratedCompletion[][]>;
  /**
   * Log-probs of completions under the weights that the policy was opened with, an adapter's left out, and what was
   * mixed into them, [row][sample][token].
   */
  referenceScores(request: ScoreRequest): Promise<number[][][]>;
  /** Log-probs of completions under the weights as they are now, [row][sample][token]. */
  scores(request: ScoreRequest): Promise<number[][][]>;
  /** @throws {UsageError} for an objective that it can't open. */
  gradient(request: GradientRequest): Promise<Gradient>;
  /**
   * One AdamW step on a gradient clipped to `maxNorm`; later calls use the new weights.
   *
   * @returns the norm before clipping.
   */
  step(gradient: Float32Array, options: StepOptions): Promise<number>;
  /**
   * Moves the reference towards the weights as they are now, by the share `mix`; 1 takes their place.
   *
   * @throws {ModelError} if it has no weights of its own, as beside an adapter.
   */
  mixReference(mix: number): Promise<void>;
  /**
   * Writes a folder that Hugging Face tools open, a checkpoint or where an adapter learns that alone; appears whole or
   * not at all.
   */
  save(dir: string): Promise<void>;
  /** Waits for running jobs, frees sessions and threads. */
  release(): Promise<void>;
}

/** A policy that teaches given answers. */
export interface Trainable {
  /** What the loss wants to know of a row beside its tokens: further inputs. */
  supervisedInputs(
    loss: SupervisedLoss,
    row: Fitted,
    prompt: EncodedPrompt,
    answer: readonly number[],
  ): Pick<TrainRow, 'perToken' | 'perPrompt'>;
}

/** A policy whose training can be interrupted and resumed. */
export interface Resumable {
  /** Takes no further step before `ready` has settled, so that what is saved meanwhile is of one step. */
  pause(ready: Promise<unknown>): void;
  /**
   * Puts `optimizer.safetensors` beside what `save` wrote: all that training needs and the saved weights don't tell;
   * and what `save` writes, of their running average, into `ema`.
   */
  saveTraining(dir: string): Promise<void>;
  /**
   * Takes weights, moments and version of a folder that both have written.
   *
   * @throws {ModelError} if they are of other weights.
   */
  restore(dir: string): Promise<void>;
}
