import { adamw, piecesOf, type AdamOptions, type AdamPiece, type AdamState } from './adamw.js';
import type { AdamJob } from './adamw-worker.js';
import type { Layout } from './layout.js';
import { workers, type Workers } from '../workers.js';

/** Elements from which a step is worth threads: below, passing the gradient costs more than they save. */
const WORTHWHILE = 2 ** 22;

/** AdamW on several threads. */
export interface Stepper {
  /**
   * As `adamw`, to the bit, for any number of threads.
   *
   * @param values on shared memory, like the state; don't read or change either before the promise resolves.
   */
  step(
    layout: Layout,
    values: Float32Array,
    gradient: Float32Array,
    state: AdamState,
    options: AdamOptions,
  ): Promise<boolean>;
  /** Waits for a running step and ends the threads; safe to call twice. */
  release(): Promise<void>;
}

/**
 * @param threads started at the first step that is worth them.
 * @param worthwhile elements from which a step is worth threads.
 */
export function openStepper(threads: number, worthwhile = WORTHWHILE): Stepper {
  let pool: Workers<AdamJob, boolean> | undefined;
  return {
    async step(layout, values, gradient, state, options) {
      if (threads < 2 || layout.length < worthwhile || gradient.length !== layout.length)
        return adamw(layout, values, gradient, state, options);
      const { first, second } = state;
      state.step += 1;
      const pieces = piecesOf(layout, state.step, options);
      const size = Math.ceil(layout.length / threads);
      pool ??= workers(new URL('./adamw-worker.js', import.meta.url), threads);
      const open = pool;
      const finite = await Promise.all(
        Array.from({ length: threads }, async (_, i) => {
          const [from, to] = [i * size, Math.min((i + 1) * size, layout.length)];
          if (from >= to) return true;
          const own = gradient.slice(from, to);
          const arrays = {
            values: values.subarray(from, to),
            gradient: own,
            first: first.subarray(from, to),
            second: second.subarray(from, to),
          };
          return open.call({ arrays, pieces: within(pieces, from, to) }, [own.buffer]);
        }),
      );
      return finite.every(Boolean);
    },
    release: async () => pool?.release(),
  };
}

/** The parts of pieces in a range, relative to its start. */
function within(pieces: readonly AdamPiece[], from: number, to: number): AdamPiece[] {
  return pieces.flatMap((piece) => {
    const [start, end] = [Math.max(piece.from, from), Math.min(piece.to, to)];
    return start < end ? [{ ...piece, from: start - from, to: end - from }] : [];
  });
}
