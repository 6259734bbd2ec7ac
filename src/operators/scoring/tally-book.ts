import type { Sample, Size } from '../../records.js';
import { constantBook, type Constant } from './constants.js';
import { estimator, type Estimate, type Estimator, type Sums } from './estimate.js';
import type { GalleryState } from './gallery.js';

/** The metrics of some rows. */
export interface Tally {
  /** Rows that were counted. */
  readonly rows: number;
  /** Skipped rows, by the stage that marked them. */
  readonly marked: Readonly<Record<string, number>>;
  /**
   * By the names of `statistics`, and `baseline/another_scene`; a row counts once, with the mean over its completions.
   */
  readonly metrics: Readonly<Record<string, Estimate>>;
  readonly constants: readonly Constant[];
}

/** The saved state of a tally, from which later rows continue. */
export interface TallyState {
  readonly rows: number;
  readonly marked: Readonly<Record<string, number>>;
  readonly sums: Readonly<Record<string, Sums>>;
  readonly tried: readonly Tried[];
  readonly shown: GalleryState;
  readonly before?: Sample;
}

/** Rewards of the fixed completions on a row. */
export interface Tried {
  readonly id: string;
  readonly frame: Size;
  readonly rewards: readonly number[];
}

/** The constant baseline. */
export function constantsOf(tried: readonly Tried[]): Constant[] {
  const book = constantBook();
  for (const { frame, rewards } of tried) book.add(frame, rewards);
  return book.constants();
}

/** Accumulates rows by name, without keeping them. */
export function tallyBook(before?: Pick<TallyState, 'rows' | 'marked' | 'sums'>) {
  const sums = new Map<string, Estimator>(
    Object.entries(before?.sums ?? {}).map(([name, sum]) => [name, estimator(sum)]),
  );
  const marked: Record<string, number> = { ...before?.marked };
  let rows = before?.rows ?? 0;
  const sumOf = (name: string): Estimator => {
    const sum = sums.get(name) ?? estimator();
    sums.set(name, sum);
    return sum;
  };
  return {
    add(values: Readonly<Record<string, number>>): void {
      rows++;
      for (const [name, value] of Object.entries(values)) sumOf(name).add(value);
    },
    mark: (stage: string): void => void (marked[stage] = (marked[stage] ?? 0) + 1),
    kept: () => ({
      rows,
      marked: { ...marked },
      sums: Object.fromEntries([...sums].map(([name, sum]) => [name, sum.kept()])),
    }),
    tally: (constants: readonly Constant[]): Tally => ({
      rows,
      marked,
      metrics: Object.fromEntries([...sums].map(([name, sum]) => [name, sum.estimate()])),
      constants,
    }),
  };
}
