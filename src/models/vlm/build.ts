import type { Precision } from '../../tensor/graph.js';
import { BLOCKS, type Blocks } from './attention.js';
import type { Adapter } from './linear.js';

/** What a policy's graphs are built for. */
export interface Build {
  /** Of products. */
  readonly precision: Precision;
  /** How attention's scores are cut, as suits the engine. */
  readonly blocks: Blocks;
  readonly adapter?: Adapter | undefined;
  /** What the checkpoint's matrices are held in: float32 where they learn. */
  readonly held: Precision;
  /**
   * Whether training graphs add their gradients to those of the runs before, which the engine holds; by default they
   * give them back.
   */
  readonly sums?: boolean;
}

/** Float32 on the CPU, all weights the checkpoint's own. */
export const PLAIN_BUILD: Build = { precision: 'float32', blocks: BLOCKS.cpu, held: 'float32' };
