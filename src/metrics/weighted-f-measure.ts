import type { Size } from '../records.js';
import { nearestObject, type Nearest } from './nearest.js';

const EPSILON = 2 ** -52;
const REACH = 3;

/**
 * Weighted F-measure in [0, 1]: errors in the object count less where their surroundings are right, and errors in the
 * background count more, up to twice, the farther they are from the object. 0 where nothing is true.
 *
 * @param confidence [height × width], row by row, each in [0, 1].
 * @param truth [height × width], 0 or 1.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Margolin et al., How to evaluate foreground maps?, CVPR 2014.
 */
export function weightedFMeasure(confidence: Float64Array, truth: Uint8Array, size: Size): number {
  const pixels = size.width * size.height;
  if (confidence.length !== pixels || truth.length !== pixels) {
    throw new RangeError(`weighted F-measure: expected ${size.width}x${size.height} = ${pixels} values; got ${confidence.length} and ${truth.length}`);
  }
  if (!truth.includes(1)) return 0;

  const nearest = nearestObject(truth, size);
  const missed = missedInObject(confidence, truth, nearest, size);
  const alarmed = alarmedOutside(confidence, truth, nearest);
  const objectPixels = truth.reduce((sum, t) => sum + t, 0);
  const hit = objectPixels - missed;
  const recall = 1 - missed / objectPixels;
  const precision = hit / (hit + alarmed + EPSILON);
  return (2 * recall * precision) / (recall + precision + EPSILON);
}

/** Sum over the background of what is predicted there, weighed by its distance from the object. */
function alarmedOutside(confidence: Float64Array, truth: Uint8Array, { squared }: Nearest): number {
  const weights = distanceWeights();
  let total = 0;
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] === 1 || confidence[i] === 0) continue;
    total += confidence[i] * (squared[i] < weights.length ? weights[squared[i]] : 2);
  }
  return total;
}

/** From this squared distance on, a weight is 2 to the last bit. */
const FAR = 266 ** 2;
let weightsBySquare: Float64Array | undefined;

/** [FAR]: 2 - exp(ln ½ / 5 · distance), by squared distance. */
function distanceWeights(): Float64Array {
  weightsBySquare ??= new Float64Array(FAR).map((_, square) => 2 - Math.exp((Math.log(0.5) / 5) * Math.sqrt(square)));
  return weightsBySquare;
}

/** Sum over the object of the errors, or of the errors around them where those are less. */
function missedInObject(confidence: Float64Array, truth: Uint8Array, { index }: Nearest, size: Size): number {
  const { width, height } = size;
  const weights = gaussian();
  const line = new Float64Array(width + 2 * REACH);
  // Outside the object stands the error of the nearest pixel of the object.
  const error = (i: number): number => 1 - confidence[index[i]];
  let total = 0;
  for (let y = 0; y < height; y++) {
    const [first, last] = faultySpan(confidence, truth, y * width, width);
    if (last < first) continue;
    blurDown(error, weights, line, Math.max(0, first - REACH), Math.min(width - 1, last + REACH), y, size);
    for (let x = first; x <= last; x++) {
      const i = y * width + x;
      if (truth[i] === 0 || confidence[i] === 1) continue;
      let around = 0;
      for (let k = 0; k <= 2 * REACH; k++) around += weights[k] * line[x + k];
      total += Math.min(around, 1 - confidence[i]);
    }
  }
  return total;
}

/** First and last x of the row at `base` where an object's pixel is not wholly predicted; [width, -1] if none is. */
function faultySpan(confidence: Float64Array, truth: Uint8Array, base: number, width: number): [number, number] {
  let first = 0;
  let last = width - 1;
  while (first < width && (truth[base + first] === 0 || confidence[base + first] === 1)) first++;
  if (first === width) return [width, -1];
  while (truth[base + last] === 0 || confidence[base + last] === 1) last--;
  return [first, last];
}

/** Fills `line`, shifted by REACH, with the errors of columns [from, to] blurred along y; outside the map there is none. */
function blurDown(error: (i: number) => number, weights: Float64Array, line: Float64Array, from: number, to: number, y: number, { width, height }: Size): void {
  line.fill(0);
  for (let dy = -REACH; dy <= REACH; dy++) {
    if (y + dy < 0 || y + dy >= height) continue;
    const weight = weights[dy + REACH];
    const base = (y + dy) * width;
    for (let x = from; x <= to; x++) line[x + REACH] += weight * error(base + x);
  }
}

/** [7]: a Gaussian with σ = 5 that sums to 1; its product with itself is the 7 × 7 window. */
function gaussian(): Float64Array {
  const bell = Float64Array.from({ length: 2 * REACH + 1 }, (_, k) => Math.exp(-((k - REACH) ** 2) / 50));
  const total = bell.reduce((sum, w) => sum + w, 0);
  return bell.map((w) => w / total);
}
