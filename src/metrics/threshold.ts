import { quantised, type LevelCounts } from './level-counts.js';

/** A thresholded prediction compared with its ground truth, in pixels. */
export interface Outcome {
  /** Predicted and true. */
  readonly hits: number;
  /** Predicted, not true. */
  readonly falseAlarms: number;
  /** True pixels in all. */
  readonly objectPixels: number;
  readonly pixels: number;
}

/** At twice the mean confidence, at most 1, inclusive; so nothing but zeros is all object, as PySODMetrics has it. */
export function atAdaptive(counts: LevelCounts, confidence: Float64Array): Outcome {
  let total = 0;
  for (let level = 0; level < 256; level++) {
    const n = counts.object[level] + counts.background[level];
    if (n > 0) total += n * confidence[level];
  }
  const threshold = Math.min(1, (2 * total) / counts.pixels);
  return outcome(counts, (level) => confidence[level] >= threshold);
}

/** At one half, exclusive. */
export function atHalf(counts: LevelCounts, confidence: Float64Array): Outcome {
  return outcome(counts, (level) => confidence[level] > 0.5);
}

/** At each threshold from 255 down to 0, inclusive, of the confidences as whole levels. @returns [256]. */
export function atEach(counts: LevelCounts, confidence: Float64Array): Outcome[] {
  const level = quantised(confidence);
  const object = new Uint32Array(256);
  const background = new Uint32Array(256);
  for (let stored = 0; stored < 256; stored++) {
    object[level[stored]] += counts.object[stored];
    background[level[stored]] += counts.background[stored];
  }
  let hits = 0;
  let falseAlarms = 0;
  return Array.from({ length: 256 }, (_, i) => {
    hits += object[255 - i];
    falseAlarms += background[255 - i];
    return { hits, falseAlarms, objectPixels: counts.objectPixels, pixels: counts.pixels };
  });
}

function outcome(
  { object, background, objectPixels, pixels }: LevelCounts,
  predicted: (level: number) => boolean,
): Outcome {
  let hits = 0;
  let falseAlarms = 0;
  for (let level = 0; level < 256; level++) {
    if (object[level] + background[level] === 0 || !predicted(level)) continue;
    hits += object[level];
    falseAlarms += background[level];
  }
  return { hits, falseAlarms, objectPixels, pixels };
}
