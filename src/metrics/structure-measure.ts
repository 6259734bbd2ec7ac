import type { Size } from '../records.js';

const ALPHA = 0.5;
const EPSILON = 2 ** -52;

/**
 * S-measure in [0, 1]: half how evenly object and background are filled, half how alike the four quadrants around
 * the truth's centroid are.
 *
 * @param predicted [height × width], row by row, each in [0, 1].
 * @param truth [height × width], 0 or 1. Empty: the share left unpredicted. Full: the share predicted.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Fan et al., Structure-measure, ICCV 2017, arXiv:1708.00786.
 */
export function structureMeasure(predicted: Uint8Array | Float32Array | Float64Array, truth: Uint8Array, size: Size): number {
  const pixels = size.width * size.height;
  if (predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(`structure measure: expected ${size.width}x${size.height} = ${pixels} values; got ${predicted.length} and ${truth.length}`);
  }

  const foreground = sum(truth);
  if (foreground === 0) return 1 - sum(predicted) / pixels;
  if (foreground === pixels) return sum(predicted) / pixels;

  const share = foreground / pixels;
  const object = share * evenness(predicted, truth, 1) + (1 - share) * evenness(predicted, truth, 0);
  return Math.max(0, ALPHA * object + (1 - ALPHA) * likeness(predicted, truth, foreground, size));
}

/** 2x / (x² + 1 + σ) of the confidence that pixels of `label` have that label; σ with n - 1, 0 for a single pixel. */
function evenness(predicted: Uint8Array | Float32Array | Float64Array, truth: Uint8Array, label: 0 | 1): number {
  const shift = predicted[truth.indexOf(label)];
  let n = 0;
  let total = 0;
  let squares = 0;
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] !== label) continue;
    const p = predicted[i] - shift;
    n++;
    total += p;
    squares += p * p;
  }
  const mean = shift + total / n;
  const x = label === 1 ? mean : 1 - mean;
  return (2 * x) / (x * x + 1 + Math.sqrt(variance(squares, total, n)) + EPSILON);
}

/** Quadrants cut at the truth's centroid, each by its share of the pixels; one without pixels counts nothing. */
function likeness(predicted: Uint8Array | Float32Array | Float64Array, truth: Uint8Array, foreground: number, { width, height }: Size): number {
  let rows = 0;
  let columns = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (truth[i] === 0) continue;
      rows += y;
      columns += x;
    }
  }
  const x = roundHalfToEven(columns / foreground) + 1;
  const y = roundHalfToEven(rows / foreground) + 1;

  const block = (x1: number, y1: number, x2: number, y2: number): number => {
    const share = ((x2 - x1) * (y2 - y1)) / (width * height);
    return share === 0 ? 0 : share * similarity(predicted, truth, width, x1, y1, x2, y2);
  };
  return block(0, 0, x, y) + block(x, 0, width, y) + block(0, y, x, height) + block(x, y, width, height);
}

/** Structural similarity of a block [x1, x2) × [y1, y2) of both maps. */
function similarity(predicted: Uint8Array | Float32Array | Float64Array, truth: Uint8Array, width: number, x1: number, y1: number, x2: number, y2: number): number {
  const n = (x2 - x1) * (y2 - y1);
  // Sums of differences from the first pixel: a block of one value then has a variance of exactly 0, on which the result branches.
  const shiftP = predicted[y1 * width + x1];
  const shiftT = truth[y1 * width + x1];
  let [sumP, sumT, sumPP, sumTT, sumPT] = [0, 0, 0, 0, 0];
  for (let y = y1; y < y2; y++) {
    for (let i = y * width + x1, end = y * width + x2; i < end; i++) {
      const p = predicted[i] - shiftP;
      const t = truth[i] - shiftT;
      sumP += p;
      sumT += t;
      sumPP += p * p;
      sumTT += t * t;
      sumPT += p * t;
    }
  }
  const meanP = shiftP + sumP / n;
  const meanT = shiftT + sumT / n;
  const above = 4 * meanP * meanT * covariance(sumPT, sumP, sumT, n);
  const below = (meanP * meanP + meanT * meanT) * (variance(sumPP, sumP, n) + variance(sumTT, sumT, n));
  if (above !== 0) return above / (below + EPSILON);
  return below === 0 ? 1 : 0;
}

/** With n - 1; 0 for a single pixel, which does not vary. */
function covariance(products: number, a: number, b: number, n: number): number {
  return n === 1 ? 0 : (products - (a * b) / n) / (n - 1);
}

function variance(squares: number, total: number, n: number): number {
  return Math.max(0, covariance(squares, total, total, n));
}

function sum(values: Uint8Array | Float32Array | Float64Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

/** As numpy rounds; `Math.round` sends every half up. */
function roundHalfToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
