import { OutOfMemoryError } from '../../errors.js';
import { takeInOrder } from '../../streams/in-order.js';

/** Limits of a run. */
export interface Size {
  /** Prompts in one. */
  readonly batch: number;
  /** Most tokens in one, padding included; unlimited by default. */
  readonly tokens?: number | undefined;
}

/** Microbatches of one kind of work: as large as allowed, and smaller after memory ran out. */
export interface Runs {
  readonly size: Size;
  /**
   * Halves the next ones.
   *
   * @param room number of prompts of the run that did not fit; more than 1.
   */
  halve(room: number): void;
}

/** @param tell called for every change; no result depends on it. */
export function runsOf(size: Size, tell: (smaller: Size) => void): Runs {
  let now = size;
  return {
    get size() {
      return now;
    },
    halve(room) {
      const batch = Math.max(1, Math.floor(Math.min(now.batch, room) / 2));
      now = { batch, ...(now.tokens === undefined ? {} : { tokens: Math.max(1, Math.floor(now.tokens / 2)) }) };
      tell(now);
    },
  };
}

/** One run. */
export interface Cut {
  /** Indices of its rows. */
  readonly indices: readonly number[];
  /** Number of prompts of its graph, unused ones included. */
  readonly room: number;
}

/**
 * Works on all rows in runs, and takes the results in order. Rows of a run that did not fit, and those after it, are
 * split into smaller runs.
 *
 * @param cut splits the given rows into runs.
 * @param most in flight at once.
 * @param alone the error if one prompt is too much.
 */
export async function inRuns<C extends Cut, R>(
  count: number,
  runs: Runs,
  {
    cut,
    most,
    work,
    take,
    alone,
    again,
  }: {
    readonly cut: (indices: readonly number[], size: Size) => readonly C[];
    readonly most: number;
    readonly work: (one: C) => Promise<R>;
    readonly take: (result: R, one: C) => void;
    readonly alone: (one: C, error: OutOfMemoryError) => Error;
    /** Given if a run that did not fit invalidates earlier results: all rows are then repeated. */
    readonly again?: () => void;
  },
): Promise<void> {
  const rows = Array.from({ length: count }, (_, i) => i);
  for (let left = rows; left.length > 0;) {
    const all = cut(left, runs.size);
    let done = 0;
    try {
      await takeInOrder(all, Math.min(most, all.length), work, (result) => take(result, all[done++]));
      return;
    } catch (error) {
      const failed = all[done];
      if (!(error instanceof OutOfMemoryError) || !failed) throw error;
      if (failed.room === 1) throw alone(failed, error);
      runs.halve(failed.room);
      again?.();
      left = again
        ? rows
        : all
            .slice(done)
            .flatMap(({ indices }) => indices)
            .toSorted((a, b) => a - b);
    }
  }
}
