import type { Size } from '../records.js';

/** A bitmap with 32 pixels to a word, so that one step of set arithmetic takes 32 of them. */
export interface Bitmap extends Size {
  /** Words of a row. */
  readonly stride: number;
  /** [height × stride]: the leftmost pixel in the lowest bit; past the width stands 0. */
  readonly words: Int32Array;
}

/** @param bits [height × width], 0 or 1. */
export function packed(bits: Uint8Array, { width, height }: Size): Bitmap {
  const map = blank({ width, height });
  for (let k = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x += 32, k++) {
      const from = y * width + x;
      const count = Math.min(32, width - x);
      let word = 0;
      for (let b = 0; b < count; b++) word |= bits[from + b] << b;
      map.words[k] = word;
    }
  }
  return map;
}

/** @returns [height × width], 0 or 1. */
export function unpacked({ width, height, stride, words }: Bitmap): Uint8Array {
  const bits = new Uint8Array(width * height);
  for (let k = 0; k < words.length; k++) {
    if (words[k] === 0) continue;
    const y = Math.floor(k / stride);
    const first = (k - y * stride) * 32;
    const from = y * width + first;
    const count = Math.min(32, width - first);
    for (let b = 0; b < count; b++) bits[from + b] = (words[k] >>> b) & 1;
  }
  return bits;
}

/** @param i the pixel's y × width + x. */
export function has({ width, stride, words }: Bitmap, i: number): boolean {
  const y = Math.floor(i / width);
  const x = i - y * width;
  return ((words[y * stride + (x >>> 5)] >>> x) & 1) === 1;
}

/** Makes a pixel 0, in place. @param i its y × width + x. */
export function remove({ width, stride, words }: Bitmap, i: number): void {
  const y = Math.floor(i / width);
  const x = i - y * width;
  words[y * stride + (x >>> 5)] &= ~(1 << x);
}

/** The pixels of either. */
export function union(a: Bitmap, b: Bitmap): Bitmap {
  const map = blank(a);
  for (let k = 0; k < map.words.length; k++) map.words[k] = a.words[k] | b.words[k];
  return map;
}

/** The pixels of both. */
export function intersection(a: Bitmap, b: Bitmap): Bitmap {
  const map = blank(a);
  for (let k = 0; k < map.words.length; k++) map.words[k] = a.words[k] & b.words[k];
  return map;
}

/** The pixels of the first that are not of the second. */
export function difference(a: Bitmap, b: Bitmap): Bitmap {
  const map = blank(a);
  for (let k = 0; k < map.words.length; k++) map.words[k] = a.words[k] & ~b.words[k];
  return map;
}

/** Zeros for ones. */
export function inverted(bitmap: Bitmap): Bitmap {
  const map = blank(bitmap);
  for (let k = 0; k < map.words.length; k++) map.words[k] = ~bitmap.words[k];
  clearPastWidth(map);
  return map;
}

/** Adds every pixel above, below, left or right of the ones. */
export function grown({ width, height, stride, words }: Bitmap): Bitmap {
  const map = blank({ width, height });
  for (let y = 0, k = 0; y < height; y++) {
    for (let column = 0, before = 0; column < stride; column++, k++) {
      const here = words[k];
      const after = column < stride - 1 ? words[k + 1] : 0;
      const above = y > 0 ? words[k - stride] : 0;
      const below = y < height - 1 ? words[k + stride] : 0;
      map.words[k] = here | (here << 1) | (before >>> 31) | (here >>> 1) | (after << 31) | above | below;
      before = here;
    }
  }
  clearPastWidth(map);
  return map;
}

/** Takes every pixel beside a zero; the border itself takes nothing. */
export function shrunk(bitmap: Bitmap): Bitmap {
  return inverted(grown(inverted(bitmap)));
}

function blank({ width, height }: Size): Bitmap {
  const stride = Math.ceil(width / 32);
  return { width, height, stride, words: new Int32Array(stride * height) };
}

function clearPastWidth({ width, height, stride, words }: Bitmap): void {
  const inside = -1 >>> (-width & 31);
  for (let y = 1; y <= height; y++) words[y * stride - 1] &= inside;
}
