import type { Size } from '../records.js';

/** For every pixel of a row, the pixel of the object that is nearest to it. */
export interface Nearest {
  /** [width]: where it lies in the map; among equals the leftmost, then the upper one, as in SciPy. */
  readonly index: Int32Array;
  /** [width]: squared distance to it in pixels, exact. */
  readonly squared: Int32Array;
}

/**
 * Exact Euclidean feature transform: along columns first, then each row that is asked for as a lower envelope of
 * parabolas.
 *
 * @param truth [height × width], 0 or 1, with at least one 1.
 * @returns of a row; the same arrays for each, so they hold until the next is asked for.
 * @see Felzenszwalb and Huttenlocher, Distance transforms of sampled functions, 2012.
 */
export function nearestObject(truth: Uint8Array, size: Size): (y: number) => Nearest {
  const { width } = size;
  const rows = nearestInColumn(truth, size);
  const index = new Int32Array(width);
  const squared = new Int32Array(width);
  const sites = new Int32Array(width);
  const heights = new Int32Array(width);
  const starts = new Int32Array(width);
  return (y) => {
    const base = y * width;
    const count = envelope(rows, base, y, width, sites, heights, starts);
    for (let k = 0; k < count; k++) {
      const site = sites[k];
      const from = rows[base + site] * width + site;
      const end = k + 1 < count ? Math.min(width, starts[k + 1]) : width;
      for (let x = starts[k]; x < end; x++) {
        index[x] = from;
        squared[x] = (x - site) * (x - site) + heights[k];
      }
    }
    return { index, squared };
  };
}

/** Row of the nearest 1 in the same column, the upper one of two; -1 in a column without any. */
function nearestInColumn(truth: Uint8Array, { width, height }: Size): Int32Array {
  const rows = new Int32Array(truth.length);
  for (let i = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) rows[i] = truth[i] === 1 ? y : y > 0 ? rows[i - width] : -1;
  }
  for (let y = height - 2; y >= 0; y--) {
    for (let x = 0, i = y * width; x < width; x++, i++) {
      const below = rows[i + width];
      if (below > y && (rows[i] < 0 || below - y < y - rows[i])) rows[i] = below;
    }
  }
  return rows;
}

/**
 * Fills the columns whose parabolas show from below in row `y`, their squared heights, and the first x where each
 * shows.
 *
 * @returns how many there are.
 */
function envelope(
  rows: Int32Array,
  base: number,
  y: number,
  width: number,
  sites: Int32Array,
  heights: Int32Array,
  starts: Int32Array,
): number {
  let count = 0;
  for (let x = 0; x < width; x++) {
    const row = rows[base + x];
    if (row < 0) continue;
    const height = (row - y) * (row - y);
    let start = 0;
    while (count > 0) {
      const site = sites[count - 1];
      // The first whole x that is strictly nearer to the newer site: an equal one stays with the left.
      start = Math.max(0, Math.floor((x * x + height - site * site - heights[count - 1]) / (2 * (x - site))) + 1);
      if (start > starts[count - 1]) break;
      count--;
    }
    if (count === 0) start = 0;
    if (start >= width) continue;
    sites[count] = x;
    heights[count] = height;
    starts[count++] = start;
  }
  return count;
}
