import type { Precision } from '../../tensor/graph.js';
import type { Device } from '../../tensor/engine.js';
import type { EngineName } from '../../tensor/engines.js';
import type { Pixels } from './config.js';
import type { Click } from './prompts.js';

/** A SAM 2.1 of still images, in whatever form its weights came; `Embedding` is its own kind. */
export interface Sam2Model<Embedding = unknown> {
  /** What a name tells of it beside its folder: the form, and which masks are answers. */
  readonly traits: readonly string[];
  readonly pixels: Pixels;
  /** Bytes of one embedding. */
  readonly embeddingBytes: number;
  /** @param pixels [3, size, size], normalised. */
  embed(pixels: Float32Array): Promise<Embedding>;
  /** Frees an embedding that nothing will be asked about any more. */
  drop(embedding: Embedding): Promise<void>;
  /** One mask an object, in order; each is told at least one click. */
  answer(embedding: Embedding, asked: readonly (readonly Click[])[]): Promise<Chosen[]>;
  /** Waits for runs under way, frees sessions and threads. */
  release(): Promise<void>;
}

/** The mask that is the answer, among those that the model has for an object. */
export interface Chosen {
  /** [side × side] */
  readonly logits: Float32Array;
  /** Which it is: 0 the single mask, 1 to 3 those that stand for different meanings. */
  readonly output: number;
  /** What the IoU with the truth is thought to be, in [0, 1]. */
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
