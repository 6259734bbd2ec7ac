import {
  adamw,
  piecesOf,
  updateAll,
  type AdamArrays,
  type AdamOptions,
  type AdamPiece,
  type AdamState,
} from './adamw.js';
import type { AdamJob } from './adamw-worker.js';
import type { Layout } from './layout.js';
import { spanOf, type Span } from './span.js';
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
  /**
   * As `updateAll`; a gradient on shared memory is not copied for it.
   *
   * @param arrays on shared memory, except perhaps the gradient; don't read or change any before the promise resolves.
   */
  update(arrays: AdamArrays, pieces: readonly AdamPiece[]): Promise<boolean>;
  /** Waits for a running step and ends the threads; safe to call twice. */
  release(): Promise<void>;
}

/**
 * @param threads started at the first step that is worth them.
 * @param worthwhile elements from which a step is worth threads.
 */
export function openStepper(threads: number, worthwhile = WORTHWHILE): Stepper {
  let pool: Workers<AdamJob, boolean> | undefined;
  const updated = async (all: AdamArrays, pieces: readonly AdamPiece[]): Promise<boolean> => {
    const { length } = all.values;
    if (threads < 2 || length < worthwhile) return updateAll(all, pieces);
    const size = Math.ceil(length / threads);
    pool ??= workers(new URL('./adamw-worker.js', import.meta.url), threads);
    const open = pool;
    const finite = await Promise.all(
      Array.from({ length: threads }, async (_, i) => {
        const [from, to] = [i * size, Math.min((i + 1) * size, length)];
        if (from >= to) return true;
        const shared = all.gradient.buffer instanceof SharedArrayBuffer;
        const own = shared ? all.gradient.subarray(from, to) : all.gradient.slice(from, to);
        const part = (array: Float32Array): Span => spanOf(array.subarray(from, to));
        const arrays = {
          values: part(all.values),
          gradient: spanOf(own),
          first: part(all.first),
          second: part(all.second),
        };
        return open.call({ arrays, pieces: within(pieces, from, to) }, shared ? [] : [own.buffer as ArrayBuffer]);
      }),
    );
    return finite.every(Boolean);
  };
  return {
    async step(layout, values, gradient, state, options) {
      if (threads < 2 || layout.length < worthwhile || gradient.length !== layout.length)
        return adamw(layout, values, gradient, state, options);
      const { first, second } = state;
      state.step += 1;
      return updated({ values, gradient, first, second }, piecesOf(layout, state.step, options));
    },
    update: updated,
    release: async () => pool?.release(),
  };
}

/** The parts of pieces in a range, relative to its start. */
export function within(pieces: readonly AdamPiece[], from: number, to: number): AdamPiece[] {
  return pieces.flatMap((piece) => {
    const [start, end] = [Math.max(piece.from, from), Math.min(piece.to, to)];
    return start < end ? [{ ...piece, from: start - from, to: end - from }] : [];
  });
}
