import type { Size } from '../records.js';

/**
 * Labels the 8-connected components of a bitmap.
 *
 * @param bits [height × width], 0 or 1. @returns [height × width]: 0 where there is none, else 1, 2, …
 */
export function parts(bits: Uint8Array, { width, height }: Size): Int32Array {
  const labels = new Int32Array(bits.length);
  let count = 0;
  for (let start = 0; start < bits.length; start++) {
    if (bits[start] === 0 || labels[start] > 0) continue;
    labels[start] = ++count;
    for (const open = [start]; open.length > 0;) {
      const at = open.pop()!;
      const y = Math.floor(at / width);
      const x = at - y * width;
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++) {
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const i = v * width + u;
          if (bits[i] === 0 || labels[i] > 0) continue;
          labels[i] = count;
          open.push(i);
        }
      }
    }
  }
  return labels;
}
