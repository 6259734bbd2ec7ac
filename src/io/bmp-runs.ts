import { DataError } from '../errors.js';
import type { Size } from '../records.js';

/**
 * Palette indices of a bitmap in run lengths, one a pixel, from the top; pixels that no run reaches are 0.
 *
 * @param bytes from the first run on.
 * @param halves whether a byte holds two pixels.
 * @throws {DataError} if they end before the picture does.
 */
export function rowsOfRunLengths(
  bytes: Uint8Array,
  { width, height, topDown }: Size & { readonly topDown: boolean },
  halves: boolean,
): Uint8Array {
  const out = new Uint8Array(width * height);
  let [x, y, at] = [0, 0, 0];
  const put = (index: number): void => {
    if (x < width && y < height) out[(topDown ? y : height - 1 - y) * width + x] = index;
    x++;
  };
  const half = (byte: number, i: number): number => (halves ? (i % 2 === 0 ? byte >> 4 : byte & 15) : byte);
  while (y < height) {
    if (at + 2 > bytes.length) {
      if (y === height - 1 && x >= width) break;
      throw new DataError(`expected run lengths of ${height} rows; got ${y}`);
    }
    const [count, value] = [bytes[at], bytes[at + 1]];
    at += 2;
    if (count > 0) for (let i = 0; i < count; i++) put(half(value, i));
    else if (value === END_OF_ROW) [x, y] = [0, y + 1];
    else if (value === END) break;
    else if (value === MOVE) {
      x += bytes[at] ?? 0;
      y += bytes[at + 1] ?? 0;
      at += 2;
    } else {
      // Single pixels, padded to two bytes.
      for (let i = 0; i < value; i++) put(half(bytes[at + (halves ? i >> 1 : i)] ?? 0, i));
      at += Math.ceil((halves ? Math.ceil(value / 2) : value) / 2) * 2;
    }
  }
  return out;
}

const [END_OF_ROW, END, MOVE] = [0, 1, 2];
