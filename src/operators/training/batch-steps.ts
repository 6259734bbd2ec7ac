import { bufferCount, concatMap, connect, filter, from, merge, type OperatorFunction } from 'rxjs';

import type { Sample } from '../../records.js';

/**
 * Works on `size` rows at a time, step after step; the last step may be smaller. Marked rows pass at once.
 *
 * Holds up to `size` rows, so the credit window must not be smaller.
 */
export function batchSteps<T extends Sample, R extends Sample>(
  size: number,
  work: (rows: readonly T[]) => Promise<Iterable<R>>,
): OperatorFunction<T, R> {
  return connect((rows) =>
    merge(
      // Marked rows lack columns that the types promise.
      rows.pipe(filter((row): row is T & R => row.skipped !== undefined)),
      rows.pipe(
        filter((row) => row.skipped === undefined),
        bufferCount(size),
        concatMap((step) => from(work(step))),
        concatMap((step) => from(step)),
      ),
    ),
  );
}
