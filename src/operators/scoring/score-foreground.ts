import { resizeNearest } from '../../io/resize-nearest.js';
import { correctionEffort } from '../../metrics/correction-effort.js';
import { confidences, countLevels } from '../../metrics/level-counts.js';
import { meanOf, saliency, type Saliency } from '../../metrics/saliency.js';
import { overSet } from '../../metrics/saliency-set.js';
import { atHalf, type Outcome } from '../../metrics/threshold.js';
import type { Size } from '../../records.js';

/** Grey levels, [height × width], 0 to 255. */
export interface GrayMap extends Size {
  readonly data: Uint8Array;
}

/** Scores of one image, or of a whole set. */
export interface Foreground extends Saliency {
  /** Points and strokes that a person needs to correct the mask. */
  readonly correctionEffort: number;
  /** Pixels over one half and those of the object; for a set their sums, which give its pooled IoU. */
  readonly half: Outcome;
}

/**
 * Scores a grey prediction as the public evaluation does: resized to the ground truth's size by nearest pixels, ground
 * truth over 128.
 *
 * @param predicted null if missing: it counts as an empty mask.
 * @throws {RangeError} if a map does not fill its size.
 */
export function scoreForeground(predicted: GrayMap | null, truth: GrayMap): Foreground {
  const levels = predicted
    ? resizeNearest(predicted.data, predicted, truth)
    : new Uint8Array(truth.width * truth.height);
  const mask = truth.data.map((level) => (level > 128 ? 1 : 0));
  const counts = countLevels(levels, mask);
  const confidence = confidences(counts);
  return {
    ...saliency(levels, mask, truth),
    correctionEffort: correctionEffort(
      levels.map((level) => (confidence[level] > 0.5 ? 1 : 0)),
      mask,
      truth,
    ),
    half: atHalf(counts, confidence),
  };
}

/**
 * Scores of a set; every image counts once, also without a prediction.
 *
 * @throws {RangeError} if there is no image.
 */
export function foregroundOverSet(images: readonly Foreground[]): Foreground {
  return {
    ...overSet(images),
    correctionEffort: meanOf(images.map((image) => image.correctionEffort)),
    half: images.map(({ half }) => half).reduce(added),
  };
}

function added(a: Outcome, b: Outcome): Outcome {
  return {
    hits: a.hits + b.hits,
    falseAlarms: a.falseAlarms + b.falseAlarms,
    objectPixels: a.objectPixels + b.objectPixels,
    pixels: a.pixels + b.pixels,
  };
}
