import type { Size } from '../records.js';

const BANDS = 5;

/**
 * mBA in [0, 1]: share of the pixels around the ground truth's boundary that are predicted right, over five widths of
 * the band.
 *
 * @param predicted [height × width], 0 or 1; so is `truth`.
 * @returns NaN where the ground truth has no boundary.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Cheng et al., CascadePSP, CVPR 2020, arXiv:2005.02551, section 4.2.
 */
export function boundaryAccuracy(predicted: Uint8Array, truth: Uint8Array, size: Size): number {
  const pixels = size.width * size.height;
  if (predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(
      `boundary accuracy: expected ${size.width}x${size.height} = ${pixels} values; got ${predicted.length} and ${truth.length}`,
    );
  }
  const border = borderPixels(truth, size);
  const widest = ((size.width + size.height) / 300 - 1) / BANDS;
  let total = 0;
  let accuracy = 0;
  let last = 0;
  for (let band = 0; band < BANDS; band++) {
    const radius = 1 + Math.trunc(widest * band);
    if (radius !== last) accuracy = accuracyAround(border, predicted, truth, size, radius);
    total += accuracy;
    last = radius;
  }
  return total / BANDS;
}

/** Where a pixel of the ground truth lies beside one of the other label. */
function borderPixels(truth: Uint8Array, { width, height }: Size): Int32Array {
  const found: number[] = [];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const t = truth[i];
      const beside = (x > 0 && truth[i - 1] !== t) || (x < width - 1 && truth[i + 1] !== t);
      if (beside || (y > 0 && truth[i - width] !== t) || (y < height - 1 && truth[i + width] !== t)) found.push(i);
    }
  }
  return Int32Array.from(found);
}

/**
 * Share predicted right of the pixels that have one of the other label within a disc. The nearest such pixel along rows
 * and columns is a border pixel and lies within the disc too, so it is enough to draw discs around the border.
 */
function accuracyAround(
  border: Int32Array,
  predicted: Uint8Array,
  truth: Uint8Array,
  { width, height }: Size,
  radius: number,
): number {
  const seen = new Uint8Array(truth.length);
  const disc = halfWidths(radius);
  let band = 0;
  let right = 0;
  for (const at of border) {
    const y = Math.floor(at / width);
    const x = at - y * width;
    for (let dy = Math.max(-radius, -y), bottom = Math.min(radius, height - 1 - y); dy <= bottom; dy++) {
      const half = disc[dy + radius];
      const base = at + dy * width;
      for (let i = base - Math.min(half, x), end = base + Math.min(half, width - 1 - x); i <= end; i++) {
        if (seen[i] === 1 || truth[i] === truth[at]) continue;
        seen[i] = 1;
        band++;
        if (predicted[i] === truth[i]) right++;
      }
    }
  }
  return right / band;
}

/** [2 · radius + 1]: half the width of a disc at each of its rows, rounded as OpenCV's elliptical kernel is. */
function halfWidths(radius: number): Int32Array {
  return new Int32Array(2 * radius + 1).map((_, k) => Math.round(Math.sqrt(radius ** 2 - (k - radius) ** 2)));
}
