import type { Objective } from '../objectives/objective.js';
import type { ObjectiveSpec } from '../objectives/spec.js';
import type { Key } from '../random.js';
import type { Fitted, Image, Sample } from '../records.js';
import type { AdamOptions } from '../tensor/adamw.js';

/** Units in which a policy writes coordinates: pixels of the frame it was shown, or thousandths of its sides. */
export type Coordinates = 'pixels' | 'thousandths';

/** The encoded prompt of one sample. */
export interface EncodedPrompt {
  /** As text, one placeholder for each image. */
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
  /** With the end token, if one was written. */
  readonly tokens: readonly number[];
  /** Under the distribution drawn from. */
  readonly logProbs: readonly number[];
  /** Of each token's distribution, nats; if requested. */
  readonly entropies?: readonly number[];
  readonly finish: 'stop' | 'length';
  /** Optimizer steps that the writing weights had seen. */
  readonly version: number;
}

/** Limits of sampling, in the order of their use, with the temperature after the penalty; each is off by default. */
export interface Sampling {
  /**
   * Above 1 makes tokens of the prompt or the completion rarer: their logits are divided by it if above 0, else
   * multiplied.
   */
  readonly repetitionPenalty?: number;
  /** Draws among this many of the likeliest, and ties with the last of them; 0 among all. */
  readonly topK?: number;
  /** Drops the least likely tokens whose probabilities sum to at most 1 - topP; never all. */
  readonly topP?: number;
  /** Drops tokens less likely than this share of the likeliest. */
  readonly minP?: number;
  /** Whether completions come with `entropies`. */
  readonly entropy?: boolean;
}

/** Source of a rollout's draws: a key or a list of numbers for each prompt. */
export type Randomness =
  /** The draw of completion `s` at token `t` is `uniform(...key, s, t)`, see `src/random.ts`. */
  | { readonly keys: readonly Key[] }
  /** The draws themselves, in [0, 1), [completion × token]. */
  | { readonly uniforms: readonly Float32Array[] };

/** A request to `generate`. */
export interface GenerateRequest extends Sampling {
  readonly prompts: readonly EncodedPrompt[];
  /** Completions for each prompt. */
  readonly group: number;
  /** 0 writes the likeliest of all tokens. */
  readonly temperature: number;
  readonly maxTokens: number;
  /** Required if `temperature` is above 0. */
  readonly random?: Randomness;
}

/** A request to `scores` and `referenceScores`. */
export interface ScoreRequest {
  readonly rows: readonly TrainRow[];
  /** The sampling temperature of the completions. */
  readonly temperature: number;
}

/** A request to `gradient`. */
export interface GradientRequest extends ScoreRequest {
  readonly loss: Loss;
}

/** The loss to minimise. */
export type Loss =
  /** A policy-gradient objective: plain data, or in one process an object of functions. */
  | { readonly objective: ObjectiveSpec | Objective }
  /** Cross-entropy on given completions, and optional losses beside it. */
  | { readonly supervised: SupervisedLoss };

export interface SupervisedLoss {
  /** Weight of the patch-mask loss; 0 is none. */
  readonly patchMask: number;
  /** Standard deviation, in units of the number, of a Gaussian target around number tokens; 0 is the token alone. */
  readonly softNumbers: number;
  /** Whether the prompts' words are learned as well; default `masked`. */
  readonly prompt?: 'masked' | 'learned';
}

/** One prompt with its completions, and the loss's other inputs. */
export interface TrainRow {
  readonly prompt: EncodedPrompt;
  /** [sample][token] */
  readonly completions: readonly (readonly number[])[];
  /** Inputs by name, [sample][token]; 0 after a completion's end. */
  readonly perToken: Readonly<Record<string, readonly (readonly number[])[]>>;
  /** Inputs by name, [sample]. */
  readonly perSample?: Readonly<Record<string, readonly number[]>>;
  /** Inputs by name, with the graph's shape for one prompt. */
  readonly perPrompt?: Readonly<Record<string, Float32Array>>;
}

/** The gradient of the rows of one optimizer step. */
export interface Gradient {
  /**
   * Summed in row order, in the parameters' layout; empty if it stays on the device for the following step, until the
   * next gradient replaces it.
   */
  readonly gradient: Float32Array;
  /** Scalar outputs of the graph, over all its runs; see `combined`. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** AdamW's settings of one step, and gradient clipping and averaging. */
export interface StepOptions extends AdamOptions {
  /** Largest norm of the gradient. */
  readonly maxNorm: number;
  /** Decay of a running average of the weights; none by default. */
  readonly ema?: number;
}

/**
 * Combines a scalar of one run with that of earlier runs: their sum; the smaller if its name ends in `Min`, the larger
 * if in `Max`.
 */
export function combined(name: string, before: number | undefined, value: number): number {
  if (before === undefined) return value;
  if (name.endsWith('Min')) return Math.min(before, value);
  return name.endsWith('Max') ? Math.max(before, value) : before + value;
}

/** A vision-language policy: writes completions, and learns from them. Its requests and results are plain data. */
export interface Policy {
  /** Of the checkpoint that it was read from; part of a run's metadata. */
  readonly name: string;
  /** Optimizer steps taken since it was opened. */
  readonly version: number;
  /** Weights that a step changes. */
  readonly parameters: number;
  /** Most prompts in one run; larger calls are split. */
  readonly batch: number;
  /** Units of coordinates in its completions. */
  readonly coordinates: Coordinates;

  /**
   * Encodes a sample's prompt.
   *
   * @param images at the sample's frame size, or of any sizes; none for text alone.
   */
  encode(
    sample: Pick<Sample, 'instruction'> & Partial<Pick<Sample, 'task'>>,
    ...images: readonly Image[]
  ): EncodedPrompt;
  /** Ids of a completion with its end token, for supervised training. */
  encodeAnswer(text: string): number[];
  /** Text of a completion, without its end token. */
  decode(tokens: readonly number[]): string;
  /**
   * Writes `group` completions for each prompt, in order.
   *
   * @throws {UsageError} if draws are needed and missing.
   */
  generate(request: GenerateRequest): Promise<GeneratedCompletion[][]>;
  /**
   * Log-probs of completions under the reference weights, [row][sample][token]: those that the policy was opened with,
   * without an adapter, and with what was mixed into them.
   */
  referenceScores(request: ScoreRequest): Promise<number[][][]>;
  /** Log-probs of completions under the current weights, [row][sample][token]. */
  scores(request: ScoreRequest): Promise<number[][][]>;
  /** @throws {UsageError} for an objective that it can't open. */
  gradient(request: GradientRequest): Promise<Gradient>;
  /**
   * One AdamW step on a gradient clipped to `maxNorm`; later calls use the new weights.
   *
   * @returns the norm before clipping.
   * @throws {NonFiniteError} for a gradient that is not finite; nothing is changed then.
   * @throws {ModelError} if the step made weights or moments infinite or NaN; such weights are never saved.
   */
  step(gradient: Float32Array, options: StepOptions): Promise<number>;
  /**
   * Moves the reference towards the current weights by the share `mix`; 1 replaces it.
   *
   * @throws {ModelError} if it has no weights of its own, as with an adapter.
   */
  mixReference(mix: number): Promise<void>;
  /**
   * Writes a folder that Hugging Face tools open: a checkpoint, or a trained adapter alone; appears whole or not at
   * all.
   */
  save(dir: string): Promise<void>;
  /** Waits for running jobs, frees sessions and threads. */
  release(): Promise<void>;
}

/** A policy that learns given completions. */
export interface Trainable {
  /** The loss's further inputs for a row. */
  supervisedInputs(
    loss: SupervisedLoss,
    row: Fitted,
    prompt: EncodedPrompt,
    answer: readonly number[],
  ): Pick<TrainRow, 'perToken' | 'perPrompt'>;
}

/** A policy whose training can be interrupted and resumed. */
export interface Resumable {
  /** Takes no further step before `ready` has settled, so that a checkpoint is of one step. */
  pause(ready: Promise<unknown>): void;
  /**
   * Adds `optimizer.safetensors` to a saved folder: all training state that the saved weights lack; and saves their
   * running average in `ema`.
   */
  saveTraining(dir: string): Promise<void>;
  /**
   * Restores weights, moments and version from such a folder.
   *
   * @throws {ModelError} if it belongs to other weights.
   */
  restore(dir: string): Promise<void>;
}
