import type { Half } from './graph.js';

/** Position of each tensor of a parameter set in one flat float32 array. */
export interface Layout {
  readonly entries: readonly {
    readonly name: string;
    readonly sizes: readonly number[];
    readonly offset: number;
    readonly length: number;
    /** Format in which a device that has halves holds the values; float32 by default. */
    readonly held?: Half;
  }[];
  /** Elements in all. */
  readonly length: number;
}

/** Lays tensors out one after the other, in the given order. */
export function layoutOf(tensors: readonly { readonly name: string; readonly sizes: readonly number[] }[]): Layout {
  let length = 0;
  const entries = tensors.map(({ name, sizes }) => {
    const size = sizes.reduce((product, n) => product * n, 1);
    length += size;
    return { name, sizes, offset: length - size, length: size };
  });
  return { entries, length };
}
