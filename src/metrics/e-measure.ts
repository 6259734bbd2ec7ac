import type { Outcome } from './threshold.js';

const EPSILON = 2 ** -52;

/**
 * E-measure: how well prediction and truth are aligned about their means, pixel by pixel.
 *
 * @returns 0 to n / (n - 1) for n pixels: the sum is divided by n - 1, as its authors have it. Nothing true: the share
 * left unpredicted; everything true: the share predicted.
 * @see Fan et al., Enhanced-alignment measure, IJCAI 2018, arXiv:1805.10421.
 */
export function eMeasure({ hits, falseAlarms, objectPixels, pixels }: Outcome): number {
  const predicted = hits + falseAlarms;
  return aligned(hits, falseAlarms, predicted, objectPixels, pixels) / (pixels - 1 + EPSILON);
}

/** Sum over the four kinds of pixel: predicted or not, true or not. */
function aligned(hits: number, falseAlarms: number, predicted: number, objectPixels: number, pixels: number): number {
  if (objectPixels === 0) return pixels - predicted;
  if (objectPixels === pixels) return predicted;

  const [p, t] = [predicted / pixels, objectPixels / pixels];
  const misses = objectPixels - hits;
  const rests = pixels - predicted - misses;
  return (
    hits * enhanced(1 - p, 1 - t) +
    falseAlarms * enhanced(1 - p, -t) +
    misses * enhanced(-p, 1 - t) +
    rests * enhanced(-p, -t)
  );
}

/** 1 where two deviations from the mean are the same, 0 where they are opposite. */
function enhanced(a: number, b: number): number {
  const alignment = (2 * a * b) / (a * a + b * b + EPSILON);
  return (alignment + 1) ** 2 / 4;
}
