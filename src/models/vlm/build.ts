import type { Precision } from '../../tensor/graph.js';
import { PLAIN, type Target } from '../../tensor/onnx/emit.js';
import type { Adapter } from './lora.js';

/** What a policy's graphs are built for. */
export interface Build extends Target {
  readonly adapter?: Adapter | undefined;
  /** What the checkpoint's matrices are held in: float32 where they learn. */
  readonly held: Precision;
  /**
   * Whether training graphs add their gradients to those of the runs before, which the engine holds; they give them
   * back unless told.
   */
  readonly sums?: boolean;
}

/** Float32 on the CPU, all weights the checkpoint's own. */
export const PLAIN_BUILD: Build = { ...PLAIN, held: 'float32' };
