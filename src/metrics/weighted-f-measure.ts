import type { Size } from '../records.js';
import { nearestObject } from './nearest.js';

const EPSILON = 2 ** -52;
const REACH = 3;
const WINDOW = 2 * REACH + 1;
/** [7]: a Gaussian with σ = 5 that sums to 1; its product with itself is the 7 × 7 window. */
const BELL = bell();

/**
 * Weighted F-measure in [0, 1]: errors in the object count less where their surroundings are right, and errors in the
 * background count more, up to twice, the farther they are from the object. 0 where nothing is true.
 *
 * @param predicted [height × width], grey levels, row by row. @param confidence [256]: what each stands for, in [0, 1].
 * @param truth [height × width], 0 or 1.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Margolin et al., How to evaluate foreground maps?, CVPR 2014.
 */
export function weightedFMeasure(
  predicted: Uint8Array,
  confidence: Float64Array,
  truth: Uint8Array,
  size: Size,
): number {
  const pixels = size.width * size.height;
  if (predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(
      `weighted F-measure: expected ${size.width}x${size.height} = ${pixels} values; got ${predicted.length} and ${truth.length}`,
    );
  }
  let objectPixels = 0;
  for (let i = 0; i < pixels; i++) objectPixels += truth[i];
  if (objectPixels === 0) return 0;

  const { missed, alarmed } = weighed({ predicted, confidence, truth, size });
  const hit = objectPixels - missed;
  const recall = 1 - missed / objectPixels;
  const precision = hit / (hit + alarmed + EPSILON);
  return (2 * recall * precision) / (recall + precision + EPSILON);
}

interface Pair {
  readonly predicted: Uint8Array;
  readonly confidence: Float64Array;
  readonly truth: Uint8Array;
  readonly size: Size;
}

/** What is missed of the object and what is predicted outside it, in pixels, each by its weight. */
function weighed(pair: Pair): { missed: number; alarmed: number } {
  const {
    predicted,
    confidence,
    truth,
    size: { width, height },
  } = pair;
  const spans = Array.from({ length: height }, (_, y) => wrongSpan(pair, y));
  const nearest = nearestObject(truth, pair.size);
  // The current rows, framed by zeros. Outside the object stands the error of the nearest pixel of the object; outside
  // the map there is none.
  const errors = Array.from({ length: WINDOW }, () => new Float64Array(width + 2 * REACH));
  let missed = 0;
  let alarmed = 0;
  for (let y = 0; y < height + REACH; y++) {
    const line = errors[y % WINDOW].fill(0);
    const [first, last] = y < height ? widest(spans.slice(Math.max(0, y - REACH), y + REACH + 1), width) : NONE;
    if (first <= last) {
      const { index, squared } = nearest(y);
      for (let x = first; x <= last; x++) line[x + REACH] = 1 - confidence[predicted[index[x]]];
      alarmed += alarmedIn(pair, y, spans[y], squared);
    }
    if (y >= REACH) missed += missedIn(pair, y - REACH, spans[y - REACH], errors);
  }
  return { missed, alarmed };
}

/** First and last x; none where the last comes first. */
type Span = readonly [number, number];
const NONE: Span = [Infinity, -Infinity];

/** Where a row is other than its truth. */
function wrongSpan({ predicted, confidence, truth, size: { width } }: Pair, y: number): Span {
  const right = [0, 1];
  const base = y * width;
  let first = 0;
  while (first < width && confidence[predicted[base + first]] === right[truth[base + first]]) first++;
  if (first === width) return NONE;
  let last = width - 1;
  while (confidence[predicted[base + last]] === right[truth[base + last]]) last--;
  return [first, last];
}

/** All of some spans, and as far around them as a window reaches. */
function widest(spans: readonly Span[], width: number): Span {
  const first = Math.min(...spans.map(([from]) => from)) - REACH;
  const last = Math.max(...spans.map(([, to]) => to)) + REACH;
  return [Math.max(0, first), Math.min(width - 1, last)];
}

/** Sum over a row's background of what is predicted there, weighed by its squared distance from the object. */
function alarmedIn(
  { predicted, confidence, truth, size: { width } }: Pair,
  y: number,
  [first, last]: Span,
  squared: Int32Array,
): number {
  const weights = distanceWeights();
  const base = y * width;
  let total = 0;
  for (let x = first; x <= last; x++) {
    const wrong = confidence[predicted[base + x]];
    if (truth[base + x] === 1 || wrong === 0) continue;
    total += wrong * (squared[x] < FAR ? weights[squared[x]] : 2);
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

/** Sum over a row's object of the errors, or of the errors around them where those are less. */
function missedIn(
  { predicted, confidence, truth, size: { width } }: Pair,
  y: number,
  [first, last]: Span,
  errors: readonly Float64Array[],
): number {
  const blurred = first <= last ? blurredDown(errors, y, first, last + 2 * REACH) : errors[0];
  let total = 0;
  for (let x = first; x <= last; x++) {
    const error = 1 - confidence[predicted[y * width + x]];
    if (truth[y * width + x] === 0 || error === 0) continue;
    let around = 0;
    for (let k = 0; k < WINDOW; k++) around += BELL[k] * blurred[x + k];
    total += Math.min(around, error);
  }
  return total;
}

/** The seven rows around `y` as one, from one column to another. */
function blurredDown(errors: readonly Float64Array[], y: number, from: number, to: number): Float64Array {
  const [a, b, c, d, e, f, g] = errors.map((_, k) => errors[(y - REACH + k + WINDOW) % WINDOW]);
  const [u, v, w, z] = BELL;
  const blurred = new Float64Array(a.length);
  for (let x = from; x <= to; x++)
    blurred[x] = u * a[x] + v * b[x] + w * c[x] + z * d[x] + w * e[x] + v * f[x] + u * g[x];
  return blurred;
}

function bell(): Float64Array {
  const heights = Float64Array.from({ length: WINDOW }, (_, k) => Math.exp(-((k - REACH) ** 2) / 50));
  const total = heights.reduce((sum, h) => sum + h, 0);
  return heights.map((h) => h / total);
}
