/** What memory is counted for. */
import type { Precision } from '../../tensor/graph.js';
import type { Adapter } from './linear.js';

/** What one run works on. */
export interface Use {
  /** Side of the square that the policy is shown, px. */
  readonly frame: number;
  /** Completions a prompt. */
  readonly group: number;
  readonly maxTokens: number;
  /** Prompts in one run. */
  readonly prompts: number;
  /** Tokens of a prompt beside its image; 256 by default: Seg-R1's question has 993 characters. */
  readonly text?: number;
  /** Threads that hold the weights; 1 by default. */
  readonly workers?: number;
  /** Of products; float32 by default. What the optimizer changes is float32 in any. */
  readonly precision?: Precision;
  /** Whether the backward pass computes each layer again instead of keeping its values; false by default. */
  readonly gradientCheckpointing?: boolean;
  /** Whether training keeps a running average of what learns. */
  readonly ema?: boolean;
  /**
   * Whether all weights are float32 in their files: those that nothing teaches are then mapped, once for all workers.
   * On the CPU.
   */
  readonly mapped?: boolean;
  /** Where it is computed: the CPU by default. */
  readonly device?: 'cpu' | 'cuda';
}

export type Job = { readonly kind: 'rollout' | 'full' } | { readonly kind: 'lora'; readonly adapter: Adapter };
