import { DataError } from '../errors.js';
import type { Mask, Size } from '../records.js';

/**
 * Run lengths of a bitmap.
 *
 * @param bits [height × width], row by row; anything but 0 is foreground.
 * @throws {RangeError} if `bits` does not fill `size`.
 */
export function encodeMask(bits: Uint8Array, size: Size): Mask {
  const { width, height } = size;
  if (bits.length !== width * height)
    throw new RangeError(`mask bits: expected ${width}x${height} = ${width * height}; got ${bits.length}`);

  const counts: number[] = [];
  let inside = false;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let p = x; p < bits.length; p += width) {
      if ((bits[p] !== 0) !== inside) {
        counts.push(run);
        run = 0;
        inside = !inside;
      }
      run++;
    }
  }
  counts.push(run);
  return { width, height, counts };
}

/**
 * The bitmap of a mask, [height × width], row by row, 0 and 1.
 *
 * @throws {DataError} if its runs don't fill its size.
 */
export function decodeMask(mask: Mask): Uint8Array {
  const { width, height, counts } = mask;
  const pixels = counts.reduce((sum, run) => sum + run, 0);
  if (pixels !== width * height)
    throw new DataError(`mask  counts: expected runs that fill ${width}x${height}; got ${pixels} pixels`);

  const bits = new Uint8Array(pixels);
  let at = 0;
  counts.forEach((run, i) => {
    const end = at + run;
    if (i % 2 === 0) at = end;
    while (at < end) {
      const x = Math.floor(at / height);
      const bottom = Math.min(end, (x + 1) * height);
      for (let p = (at - x * height) * width + x; at < bottom; at++, p += width) bits[p] = 1;
    }
  });
  return bits;
}
