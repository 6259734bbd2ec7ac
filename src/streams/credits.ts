import { type MonoTypeOperatorFunction, tap } from 'rxjs';

/** Permits for rows between source and sink: the source takes one before it makes a row, the sink returns it. */
export interface Credits {
  readonly window: number;
  /** Rows between source and sink now. */
  readonly inFlight: number;
  /** Most rows that were ever between source and sink. */
  readonly peak: number;
  /** Resolves when a row may enter, in order of asking; rejects with the signal's reason once it is aborted. */
  take(signal?: AbortSignal): Promise<void>;
  /**
   * Returns the credit of a row that left.
   *
   * @throws {Error} if no row is in flight: some credit was returned twice.
   */
  give(rowId: string): void;
}

/**
 * Opens a window of `window` rows.
 *
 * @throws {RangeError} if it is not a whole number from 1.
 */
export function credits(window: number): Credits {
  if (!Number.isInteger(window) || window < 1)
    throw new RangeError(`window: expected a whole number of rows from 1; got ${window}`);
  const waiting = new Set<() => void>();
  let inFlight = 0;
  let peak = 0;

  function enter(): void {
    inFlight++;
    peak = Math.max(peak, inFlight);
  }

  function wait(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(admit);
        reject(signal?.reason as Error);
      };
      const admit = (): void => {
        waiting.delete(admit);
        signal?.removeEventListener('abort', leave);
        enter();
        resolve();
      };
      signal?.addEventListener('abort', leave, { once: true });
      waiting.add(admit);
    });
  }

  return {
    window,
    get inFlight() {
      return inFlight;
    },
    get peak() {
      return peak;
    },
    async take(signal) {
      signal?.throwIfAborted();
      if (inFlight < window) enter();
      else await wait(signal);
    },
    give(rowId) {
      if (inFlight === 0)
        throw new Error(
          `credits  give: expected a row in flight; got ${rowId} with none; some row was given back twice`,
        );
      inFlight--;
      const [next] = waiting;
      next?.();
    },
  };
}

/** Returns the credit of each row that passes; the last operator of a hand-made pipeline. */
export function released<T extends { readonly id: string }>(
  window: Pick<Credits, 'give'>,
): MonoTypeOperatorFunction<T> {
  return tap((row) => window.give(row.id));
}
