import { defer, from, lastValueFrom, mergeMap, tap, type OperatorFunction } from 'rxjs';

/**
 * `mergeMap` that keeps the order of its source: `inflight` rows are worked on at once, and what is ready early waits.
 *
 * A row holds its place until its turn has come, so that no more than `inflight` results ever wait. The first failure,
 * in order, errors the stream; unsubscribing takes no further row.
 */
export function inOrder<T, R>(work: (row: T) => Promise<R>, inflight: number): OperatorFunction<T, R> {
  return (rows) =>
    defer(() => {
      let last: Promise<unknown> = Promise.resolve();
      const inTurn = (row: T): Promise<R> => {
        const result = work(row);
        // A failure waits for its turn, too: until then it is nobody's.
        result.catch(() => {});
        const turn = last.then(() => result);
        last = turn;
        return turn;
      };
      return rows.pipe(mergeMap(inTurn, inflight));
    });
}

/**
 * The same for a list: works on all, and takes the results in order; no more than `inflight` are under way or wait for
 * their turn.
 *
 * The first failure, in order, rejects; what is under way then goes on unheard.
 */
export async function takeInOrder<T, R>(
  all: readonly T[],
  inflight: number,
  work: (one: T) => Promise<R>,
  take: (result: R) => void,
): Promise<void> {
  await lastValueFrom(from(all).pipe(inOrder(work, inflight), tap(take)), { defaultValue: undefined });
}
