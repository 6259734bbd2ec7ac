import type { Size } from '../records.js';
import { momentsOf, together, variance, NOTHING, type Moments } from './moments.js';

const ALPHA = 0.5;
const EPSILON = 2 ** -52;

/** Columns [x1, x2) of rows [y1, y2). */
interface Block {
  readonly x1: number;
  readonly y1: number;
  readonly x2: number;
  readonly y2: number;
}

/** The prediction where the ground truth is 1, and where it is 0. */
interface Predicted {
  readonly object: Moments;
  readonly background: Moments;
}

/**
 * S-measure in [0, 1]: half how evenly object and background are filled, half how alike the four quadrants around the
 * ground truth's centroid are.
 *
 * @param predicted [height × width], row by row, each in [0, 1].
 * @param truth [height × width], 0 or 1. Empty: the share left unpredicted. Full: the share predicted.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Fan et al., Structure-measure, ICCV 2017, arXiv:1708.00786.
 */
export function structureMeasure(
  predicted: Uint8Array | Float32Array | Float64Array,
  truth: Uint8Array,
  size: Size,
): number {
  return structureOf(predicted, truth, size, (block) => ofValues(predicted, truth, size.width, block));
}

/** The same of grey levels. @param confidence [256]: what each level stands for, in [0, 1]. */
export function structureOfLevels(
  predicted: Uint8Array,
  confidence: Float64Array,
  truth: Uint8Array,
  size: Size,
): number {
  return structureOf(predicted, truth, size, (block) => ofLevels(predicted, confidence, truth, size.width, block));
}

function structureOf(
  predicted: ArrayLike<number>,
  truth: Uint8Array,
  size: Size,
  within: (block: Block) => Predicted,
): number {
  const pixels = size.width * size.height;
  if (predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(
      `structure measure: expected ${size.width}x${size.height} = ${pixels} values; got ${predicted.length} and ${truth.length}`,
    );
  }
  const quadrants = quadrantsOf(truth, size).map(within);
  const object = quadrants.reduce((all, quadrant) => together(all, quadrant.object), NOTHING);
  const background = quadrants.reduce((all, quadrant) => together(all, quadrant.background), NOTHING);
  if (object.count === 0) return 1 - background.mean;
  if (background.count === 0) return object.mean;

  const share = object.count / pixels;
  const filled = share * evenness(object.mean, object) + (1 - share) * evenness(1 - background.mean, background);
  const alike = quadrants.reduce(
    (sum, quadrant) => sum + ((quadrant.object.count + quadrant.background.count) / pixels) * likeness(quadrant),
    0,
  );
  return Math.max(0, ALPHA * filled + (1 - ALPHA) * alike);
}

/** 2x / (x² + 1 + σ) of the mean confidence x that pixels of one label have that label. */
function evenness(x: number, label: Moments): number {
  return (2 * x) / (x * x + 1 + Math.sqrt(variance(label)) + EPSILON);
}

/** Structural similarity of a block of both maps; a block without pixels counts nothing. */
function likeness({ object, background }: Predicted): number {
  const all = together(object, background);
  const meanT = object.count / Math.max(1, all.count);
  // The ground truth is 0 or 1, so its spread, and what it shares with the prediction, follow from the counts.
  const mixed = all.count > 1 ? (object.count * background.count) / (all.count * (all.count - 1)) : 0;
  const above = 4 * all.mean * meanT * mixed * (object.mean - background.mean);
  const below = (all.mean * all.mean + meanT * meanT) * (variance(all) + mixed);
  if (above !== 0) return above / (below + EPSILON);
  return below === 0 ? 1 : 0;
}

/** The four blocks cut at the ground truth's centroid; some are empty where it lies on the border. */
function quadrantsOf(truth: Uint8Array, { width, height }: Size): Block[] {
  let count = 0;
  let rows = 0;
  let columns = 0;
  for (let y = 0, i = 0; y < height; y++) {
    const before = count;
    for (let x = 0; x < width; x++, i++) {
      count += truth[i];
      columns += truth[i] * x;
    }
    rows += y * (count - before);
  }
  const x = Math.min(width, roundHalfToEven(columns / Math.max(1, count)) + 1);
  const y = Math.min(height, roundHalfToEven(rows / Math.max(1, count)) + 1);
  return [
    { x1: 0, y1: 0, x2: x, y2: y },
    { x1: x, y1: 0, x2: width, y2: y },
    { x1: 0, y1: y, x2: x, y2: height },
    { x1: x, y1: y, x2: width, y2: height },
  ];
}

function ofLevels(
  predicted: Uint8Array,
  confidence: Float64Array,
  truth: Uint8Array,
  width: number,
  { x1, y1, x2, y2 }: Block,
): Predicted {
  const both = new Uint32Array(512);
  for (let y = y1; y < y2; y++) {
    for (let i = y * width + x1, end = y * width + x2; i < end; i++) both[(truth[i] << 8) | predicted[i]]++;
  }
  return {
    object: momentsOf(confidence, both.subarray(256)),
    background: momentsOf(confidence, both.subarray(0, 256)),
  };
}

function ofValues(
  predicted: Uint8Array | Float32Array | Float64Array,
  truth: Uint8Array,
  width: number,
  { x1, y1, x2, y2 }: Block,
): Predicted {
  const sums = [
    { count: 0, first: 0, total: 0, squares: 0 },
    { count: 0, first: 0, total: 0, squares: 0 },
  ];
  for (let y = y1; y < y2; y++) {
    for (let i = y * width + x1, end = y * width + x2; i < end; i++) {
      const sum = sums[truth[i]];
      if (sum.count === 0) sum.first = predicted[i];
      // Differences from the first value: of one value alone they have a spread of exactly 0, on which the result
      // branches.
      const p = predicted[i] - sum.first;
      sum.count++;
      sum.total += p;
      sum.squares += p * p;
    }
  }
  const [background, object] = sums.map(({ count, first, total, squares }) =>
    count === 0
      ? NOTHING
      : {
          count,
          mean: first + total / count,
          spread: Math.max(0, squares - (total * total) / count),
        },
  );
  return { object, background };
}

/** As numpy rounds; `Math.round` sends every half up. */
function roundHalfToEven(value: number): number {
  const down = Math.floor(value);
  const rest = value - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down;
}
