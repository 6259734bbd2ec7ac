import { OutOfMemoryError } from '../../errors.js';
import { takeInOrder } from '../../streams/in-order.js';

/** How large runs may be. */
export interface Size {
  /** Prompts in one. */
  readonly batch: number;
  /** Tokens in one, padding included, where that means fewer prompts; no bound unless given. */
  readonly tokens?: number | undefined;
}

/** Runs of one kind of work: as large as they may be, and smaller from the moment on when memory ran out. */
export interface Runs {
  readonly size: Size;
  /** Has the next ones half as large. @param room prompts that one without room was for; more than 1. */
  halve(room: number): void;
}

/** @param tell told of every change, which no result depends on. */
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

/** What one run works on. */
export interface Cut {
  /** Of rows among all. */
  readonly indices: readonly number[];
  /** Prompts that its graph is for, those included that are not there. */
  readonly room: number;
}

/**
 * Works on all rows in runs, and takes what comes of each in order. Rows of a run without room, and those behind it,
 * are cut anew into smaller runs.
 *
 * @param cut runs of the given rows.
 * @param most under way at once.
 * @param alone what to say where one prompt is too much.
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
    /** Given where a run without room spoils what was taken before: all rows are worked on once more. */
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
