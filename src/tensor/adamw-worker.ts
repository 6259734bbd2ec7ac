import { updateAll, type AdamArrays, type AdamPiece } from './adamw.js';
import { arrayOf, type Span } from './span.js';
import { serve } from '../workers.js';

/** Part of a step: pieces of `gradient`, and the same part of the other arrays, which are on shared memory. */
export interface AdamJob {
  readonly arrays: Readonly<Record<keyof AdamArrays, Span>>;
  readonly pieces: readonly AdamPiece[];
}

serve(async ({ arrays: { values, gradient, first, second }, pieces }: AdamJob) => {
  const arrays: AdamArrays = {
    values: arrayOf(values),
    gradient: arrayOf(gradient),
    first: arrayOf(first),
    second: arrayOf(second),
  };
  return { answer: updateAll(arrays, pieces) };
});
