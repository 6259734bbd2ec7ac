import { Observable } from 'rxjs';

/** Admits rows, and is notified when an admitted row never came. */
export interface Window {
  take(signal: AbortSignal): Promise<void>;
  give(rowId: string): void;
}

/** Where a source resumes: after the first `cursor` rows, except those in `pending`, which it emits again. */
export interface Start {
  readonly cursor: number;
  /** Ids. */
  readonly pending: ReadonlySet<string>;
}

/**
 * A stream that asks its iterator for the next row only once the window admits it. `from(asyncIterable)` would read on
 * regardless of downstream; here the downstream returns a credit for each row that left. Unsubscribing ends the wait at
 * once and calls the iterator's `return`.
 *
 * @param open called for each subscriber.
 */
export function pulled<T>(open: () => AsyncIterable<T>, window: Window): Observable<T> {
  return new Observable((subscriber) => {
    const stop = new AbortController();
    const iterator = open()[Symbol.asyncIterator]();

    /** Whether the stream continues. */
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
