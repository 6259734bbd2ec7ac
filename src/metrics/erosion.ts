import type { Size } from '../records.js';

/**
 * Least value within `reach` pixels along both axes; beyond the border lies 0.
 *
 * @param map [height × width], row by row. @param reach at least 1.
 * @returns [height × width].
 */
export function erode(map: Uint8Array, { width, height }: Size, reach: number): Uint8Array {
  const down = slidingMinimum(map, { length: height, step: width }, { length: width, step: 1 }, reach);
  return slidingMinimum(down, { length: width, step: 1 }, { length: height, step: width }, reach);
}

interface Axis {
  readonly length: number;
  /** Values from one to the next. */
  readonly step: number;
}

/**
 * Minimum of 2 · reach + 1 values along one axis: each window is the end of one block and the start of the next.
 *
 * @see van Herk, A fast algorithm for local minimum and maximum filters, 1992.
 */
function slidingMinimum(map: Uint8Array, along: Axis, across: Axis, reach: number): Uint8Array {
  const eroded = new Uint8Array(map.length);
  const block = 2 * reach + 1;
  if (along.length < block) return eroded;

  const fromStart = Uint8Array.from(map);
  const fromEnd = Uint8Array.from(map);
  for (let p = 1; p < along.length; p++) {
    if (p % block !== 0) lower(fromStart, p * along.step, (p - 1) * along.step, across);
  }
  for (let p = along.length - 2; p >= 0; p--) {
    if ((p + 1) % block !== 0) lower(fromEnd, p * along.step, (p + 1) * along.step, across);
  }
  for (let p = reach; p < along.length - reach; p++) {
    for (let k = 0, i = p * along.step; k < across.length; k++, i += across.step) {
      const before = fromEnd[i - reach * along.step];
      const after = fromStart[i + reach * along.step];
      eroded[i] = before < after ? before : after;
    }
  }
  return eroded;
}

/** Lowers the line at `to` to that at `from` wherever that is lower. */
function lower(map: Uint8Array, to: number, from: number, { length, step }: Axis): void {
  for (let k = 0; k < length; k++, to += step, from += step) {
    if (map[from] < map[to]) map[to] = map[from];
  }
}
