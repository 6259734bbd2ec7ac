import type { Outcome } from './threshold.js';

/** Share of the predicted that is true, in [0, 1]; 0 where nothing is predicted. */
export function precision({ hits, falseAlarms }: Outcome): number {
  return share(hits, hits + falseAlarms);
}

/** Share of the true that is predicted, in [0, 1]; 0 where nothing is true. */
export function recall({ hits, objectPixels }: Outcome): number {
  return share(hits, objectPixels);
}

/** Intersection over union, in [0, 1]; 0 where both are empty. */
export function overlap({ hits, falseAlarms, objectPixels }: Outcome): number {
  return share(hits, objectPixels + falseAlarms);
}

/** Twice the intersection over the sum of both areas, in [0, 1]; 0 where both are empty. */
export function dice({ hits, falseAlarms, objectPixels }: Outcome): number {
  return share(2 * hits, objectPixels + hits + falseAlarms);
}

/**
 * BER in [0, 1], the less the better: 1 less the mean of the shares found of object and background; of none, none is
 * found.
 */
export function balancedErrorRate({ hits, falseAlarms, objectPixels, pixels }: Outcome): number {
  const background = pixels - objectPixels;
  return 1 - 0.5 * (share(hits, objectPixels) + share(background - falseAlarms, background));
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : part / whole;
}
