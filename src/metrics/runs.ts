import type { Size } from '../records.js';

/**
 * A bitmap with a frame of zeros, so that each pixel has eight neighbours and no run of ones passes the end of a row.
 */
export interface Framed {
  /** [(height + 2) × stride], 0 or 1. */
  readonly bits: Uint8Array;
  /** Width with the frame. */
  readonly stride: number;
}

/** @param bits [height × width], 0 or 1. */
export function framed(bits: Uint8Array, { width, height }: Size): Framed {
  const stride = width + 2;
  const wide = new Uint8Array(stride * (height + 2));
  for (let y = 0; y < height; y++) wide.set(bits.subarray(y * width, (y + 1) * width), (y + 1) * stride + 1);
  return { bits: wide, stride };
}

/** Where ones stand together in a row, row by row. @returns [2 × runs]: the first of each, and the first after it. */
export function runs({ bits }: Framed): number[] {
  const found: number[] = [];
  for (let from = bits.indexOf(1); from >= 0;) {
    const end = bits.indexOf(0, from);
    found.push(from, end);
    from = bits.indexOf(1, end);
  }
  return found;
}
