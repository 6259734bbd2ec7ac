import type { Size } from '../records.js';

/** Adds to a bitmap every pixel above, below, left or right of its ones. @param bits [height × width], 0 or 1. */
export function grown(bits: Uint8Array, { width, height }: Size): Uint8Array {
  const result = Uint8Array.from(bits);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (bits[i] === 0) continue;
      if (x > 0) result[i - 1] = 1;
      if (x < width - 1) result[i + 1] = 1;
      if (y > 0) result[i - width] = 1;
      if (y < height - 1) result[i + width] = 1;
    }
  }
  return result;
}

/** Takes from a bitmap every pixel beside a zero; the border itself takes nothing. @param bits [height × width], 0 or 1. */
export function shrunk(bits: Uint8Array, size: Size): Uint8Array {
  return inverted(grown(inverted(bits), size));
}

/** Zeros for ones. */
export function inverted(bits: Uint8Array): Uint8Array {
  return bits.map((bit) => 1 - bit);
}
