import { Observable } from 'rxjs';

/** Who may let a row in, and is told when one that was let in never came. */
export interface Window {
  take(signal: AbortSignal): Promise<void>;
  give(rowId: string): void;
}

/**
 * Where a source resumes: behind the first `cursor` rows, but for those that are `pending`, which it gives once more.
 */
export interface Start {
  readonly cursor: number;
  /** Ids. */
  readonly pending: ReadonlySet<string>;
}

/**
 * A stream that asks its iterator for the next row only once the window has let it in.
 *
 * `from(asyncIterable)` reads on regardless of what follows; here what follows gives a credit back for each row that
 * left.
 * Unsubscribing ends the wait at once and calls the iterator's `return`.
 *
 * @param open called once a subscriber.
 */
export function pulled<T>(open: () => AsyncIterable<T>, window: Window): Observable<T> {
  return new Observable((subscriber) => {
    const stop = new AbortController();
    const iterator = open()[Symbol.asyncIterator]();

    /** Whether the stream goes on. */
    const step = async (): Promise<boolean> => {
      await window.take(stop.signal);
      let handedOn = false;
      try {
        const { done, value } = await iterator.next();
        if (done || stop.signal.aborted) return false;
        handedOn = true;
        subscriber.next(value);
        return true;
      } finally {
        if (!handedOn) window.give('(no row)');
      }
    };
    const pull = async (): Promise<void> => {
      while (await step());
      subscriber.complete();
    };
    pull().catch((error: unknown) => subscriber.error(error));

    return () => {
      stop.abort();
      iterator.return?.().catch(() => undefined);
    };
  });
}
