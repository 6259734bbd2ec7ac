import type { Size } from '../records.js';

/**
 * Grey levels at another size, each the one that lies under its upper left corner, as OpenCV's `INTER_NEAREST` takes
 * them;
 * Pillow takes the one under its middle.
 *
 * @param data [from.height × from.width], row by row.
 * @throws {RangeError} if `data` does not fill `from`.
 */
export function resizeNearest(data: Uint8Array, from: Size, to: Size): Uint8Array {
  if (data.length !== from.width * from.height)
    throw new RangeError(
      `resize: expected ${from.width}x${from.height} = ${from.width * from.height} levels; got ${data.length}`,
    );
  const columns = sources(from.width, to.width);
  const rows = sources(from.height, to.height);
  const levels = new Uint8Array(to.width * to.height);
  for (let y = 0, i = 0; y < to.height; y++) {
    for (let x = 0; x < to.width; x++) levels[i++] = data[rows[y] * from.width + columns[x]];
  }
  return levels;
}

function sources(size: number, wanted: number): Uint32Array {
  const scale = 1 / (wanted / size);
  return Uint32Array.from({ length: wanted }, (_, i) => Math.min(size - 1, Math.floor(i * scale)));
}
