import { updateAll, type AdamArrays, type AdamPiece } from './adamw.js';
import { serve } from '../workers.js';

/** Part of a step: pieces of `gradient`, and the same part of the other arrays, which are on shared memory. */
export interface AdamJob {
  readonly arrays: AdamArrays;
  readonly pieces: readonly AdamPiece[];
}

serve(async ({ arrays, pieces }: AdamJob) => ({ answer: updateAll(arrays, pieces) }));
