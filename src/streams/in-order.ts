import { defer, from, lastValueFrom, mergeMap, tap, type OperatorFunction } from 'rxjs';

/**
 * `mergeMap` that keeps the order of its source: `inflight` rows are worked on at once, and early results wait. A row
 * holds its place until its turn, so at most `inflight` results wait. The first failure, in order, errors the stream;
 * unsubscribing takes no further row.
 */
export function inOrder<T, R>(work: (row: T) => Promise<R>, inflight: number): OperatorFunction<T, R> {
  return (rows) =>
    defer(() => {
      let last: Promise<unknown> = Promise.resolve();
      const inTurn = (row: T): Promise<R> => {
        const result = work(row);
        // A failure waits for its turn, too.
        result.catch(() => {});
        const turn = last.then(() => result);
        last = turn;
        return turn;
      };
      return rows.pipe(mergeMap(inTurn, inflight));
    });
}

/**
 * The same for a list: works on all items and takes the results in order; at most `inflight` run or wait for their
 * turn. The first failure, in order, rejects; running work continues, but its results are ignored.
 */
export async function takeInOrder<T, R>(
  all: readonly T[],
  inflight: number,
  work: (one: T) => Promise<R>,
  take: (result: R) => void,
): Promise<void> {
  await lastValueFrom(from(all).pipe(inOrder(work, inflight), tap(take)), { defaultValue: undefined });
}
