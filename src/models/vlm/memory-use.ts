/** The work whose memory is counted. */
import type { Precision } from '../../tensor/graph.js';
import type { Adapter } from './linear.js';

/** The sizes of one run. */
export interface Use {
  /** Side of the square that the policy is shown, px. */
  readonly frame: number;
  /** Completions for each prompt. */
  readonly group: number;
  readonly maxTokens: number;
  /** Prompts in one run. */
  readonly prompts: number;
  /** Tokens of a prompt beside its image; 256 by default: Seg-R1's question has 993 characters. */
  readonly text?: number;
  /** Threads that hold the weights; 1 by default. */
  readonly workers?: number;
  /** Of products; float32 by default. Trained weights are always float32. */
  readonly precision?: Precision;
  /**
   * Gradient checkpointing: whether the backward pass computes each layer again instead of keeping its values; false by
   * default.
   */
  readonly gradientCheckpointing?: boolean;
  /** Whether training keeps a running average of the trained weights. */
  readonly ema?: boolean;
  /**
   * Whether all weights are float32 in their files: on the CPU frozen ones are then memory-mapped once for all workers.
   */
  readonly mapped?: boolean;
  /**
   * For a GPU: whether AdamW's moments and the float32 weights are there, or on the host, and only what products take on
   * the device; there by default.
   */
  readonly optimizer?: 'device' | 'host';
  /** The device; the CPU by default. */
  readonly device?: 'cpu' | 'cuda';
}

export type Job = { readonly kind: 'rollout' | 'full' } | { readonly kind: 'lora'; readonly adapter: Adapter };
