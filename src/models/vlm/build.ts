import type { Precision } from '../../tensor/graph.js';
import { BLOCKS, type Blocks } from './attention.js';
import type { Adapter } from './linear.js';

/** Settings with which a policy's graphs are built. */
export interface Build {
  /** Of products. */
  readonly precision: Precision;
  /** Blocks of attention scores, for the engine. */
  readonly blocks: Blocks;
  readonly adapter?: Adapter | undefined;
  /** Format of the checkpoint's matrices: float32 if they are trained. */
  readonly held: Precision;
  /** Whether training graphs add their gradients to a sum that the engine holds; by default they return them. */
  readonly sums?: boolean;
}

/** Float32 on the CPU, all weights the checkpoint's own. */
export const PLAIN_BUILD: Build = { precision: 'float32', blocks: BLOCKS.cpu, held: 'float32' };
