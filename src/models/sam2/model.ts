import type { Precision } from '../../tensor/graph.js';
import type { Device } from '../../tensor/engine.js';
import type { EngineName } from '../../tensor/engines.js';
import type { Pixels } from './config.js';
import type { Click } from './prompts.js';

/** A SAM 2.1 for still images, from any form of weights; `Embedding` is its own type. */
export interface Sam2Model<Embedding = unknown> {
  /** Part of its name beside the folder: the form, and which masks it takes. */
  readonly traits: readonly string[];
  readonly pixels: Pixels;
  /** Bytes of one embedding. */
  readonly embeddingBytes: number;
  /** @param pixels [3, size, size], normalised. */
  embed(pixels: Float32Array): Promise<Embedding>;
  /** Frees an embedding that is no longer needed. */
  drop(embedding: Embedding): Promise<void>;
  /** One mask for each object, in order; each has at least one click. */
  answer(embedding: Embedding, asked: readonly (readonly Click[])[]): Promise<Chosen[]>;
  /** Waits for runs under way, frees sessions and threads. */
  release(): Promise<void>;
}

/** The chosen mask among the model's masks of an object. */
export interface Chosen {
  /** [side × side] */
  readonly logits: Float32Array;
  /** Its index: 0 is the single mask, 1 to 3 those of different meanings. */
  readonly output: number;
  /** Predicted IoU with the ground truth, in [0, 1]. */
  readonly iou: number;
}

/**
 * `workers` threads, each with its copy of the weights, whose runs take `threads` cores each; what computes, the
 * device,
 * and the precision of products.
 */
export interface Cores {
  readonly workers: number;
  readonly threads: number;
  readonly runtime?: EngineName;
  readonly device?: Device;
  readonly precision?: Precision;
}
