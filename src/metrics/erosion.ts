import type { Size } from '../records.js';

/**
 * Least value within `reach` pixels along both axes; beyond the border lies 0.
 *
 * @param map [height × width], row by row. @param reach at least 1.
 * @returns [height × width].
 * @see van Herk, A fast algorithm for local minimum and maximum filters, 1992: each window is the end of one block of
 * 2 · reach + 1 and the start of the next.
 */
export function erode(map: Uint8Array, size: Size, reach: number): Uint8Array {
  return erodeColumns(erodeRows(map, size, reach), size, reach);
}

function erodeRows(map: Uint8Array, { width, height }: Size, reach: number): Uint8Array {
  const eroded = new Uint8Array(map.length);
  const block = 2 * reach + 1;
  const fromStart = new Uint8Array(width);
  const fromEnd = new Uint8Array(width);
  for (let y = 0; y < height; y++) {
    const base = y * width;
    for (let start = 0; start < width; start += block) {
      const end = Math.min(width, start + block);
      let least = 255;
      for (let x = start; x < end; x++) {
        if (map[base + x] < least) least = map[base + x];
        fromStart[x] = least;
      }
      least = 255;
      for (let x = end - 1; x >= start; x--) {
        if (map[base + x] < least) least = map[base + x];
        fromEnd[x] = least;
      }
    }
    for (let x = reach; x < width - reach; x++) {
      const before = fromEnd[x - reach];
      const after = fromStart[x + reach];
      eroded[base + x] = before < after ? before : after;
    }
  }
  return eroded;
}

/** As rows are, but whole rows at a time. */
function erodeColumns(map: Uint8Array, { width, height }: Size, reach: number): Uint8Array {
  const eroded = new Uint8Array(map.length);
  const block = 2 * reach + 1;
  const fromStart = Uint8Array.from(map);
  const fromEnd = Uint8Array.from(map);
  for (let y = 1; y < height; y++) if (y % block !== 0) lower(fromStart, y * width, (y - 1) * width, width);
  for (let y = height - 2; y >= 0; y--) if ((y + 1) % block !== 0) lower(fromEnd, y * width, (y + 1) * width, width);
  for (let y = reach; y < height - reach; y++) {
    const above = (y - reach) * width;
    const below = (y + reach) * width;
    for (let x = 0, i = y * width; x < width; x++, i++) eroded[i] = Math.min(fromEnd[above + x], fromStart[below + x]);
  }
  return eroded;
}

/** Lowers the row at `to` to that at `from` wherever that is lower. */
function lower(map: Uint8Array, to: number, from: number, width: number): void {
  for (let x = 0; x < width; x++) map[to + x] = Math.min(map[to + x], map[from + x]);
}
