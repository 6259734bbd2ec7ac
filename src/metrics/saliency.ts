import type { Size } from '../records.js';
import { boundaryAccuracy } from './boundary-accuracy.js';
import { boundaryOverlaps } from './boundary-overlap.js';
import { eMeasure } from './e-measure.js';
import { fMeasure } from './f-measure.js';
import { confidences, countLevels, quantised, type LevelCounts } from './level-counts.js';
import { meanAbsoluteError, meanSquaredError } from './mean-error.js';
import { balancedErrorRate, dice, overlap, precision, recall } from './overlap.js';
import { structureOfLevels } from './structure-measure.js';
import { atAdaptive, atEach, atHalf, type Outcome } from './threshold.js';
import { weightedFMeasure } from './weighted-f-measure.js';

type Thresholded = 'fMeasure' | 'eMeasure' | 'iou' | 'dice' | 'ber' | 'precision' | 'recall';

/** How the threshold is chosen: one half, twice the mean confidence, or the mean or the highest over all 256. */
export type Variant = 'binary' | 'adaptive' | 'mean' | 'max';

export type SaliencyCurve = Thresholded | 'boundaryIou';
export type SaliencyValue =
  | 'structure'
  | 'weightedF'
  | 'mae'
  | 'mse'
  | 'boundaryAccuracy'
  | 'boundaryIou/mean'
  | 'boundaryIou/max'
  | `${Thresholded}/${Variant}`;

export interface Saliency {
  readonly values: Readonly<Record<SaliencyValue, number>>;
  /** Each [256], over the thresholds 255 down to 0. */
  readonly curves: Readonly<Record<SaliencyCurve, Float64Array>>;
}

/**
 * Every metric of a grey prediction and its truth. The prediction is stretched to [0, 1] first, save for the boundary
 * accuracy, which takes the levels above 128 as they are.
 *
 * @param predicted [height × width], grey levels, row by row.
 * @param truth [height × width], 0 or 1.
 * @returns the boundary accuracy is NaN where the ground truth has no boundary; no other value is.
 * @throws {RangeError} if a length is not that of `size`, or there is no pixel.
 */
export function saliency(predicted: Uint8Array, truth: Uint8Array, size: Size): Saliency {
  const pixels = size.width * size.height;
  if (pixels === 0 || predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(
      `saliency: expected ${size.width}x${size.height} = ${pixels} values, at least 1; got ${predicted.length} and ${truth.length}`,
    );
  }
  const counts = countLevels(predicted, truth);
  const confidence = confidences(counts);
  const boundaryIou = boundaryOverlaps(looked(predicted, quantised(confidence)), truth, size);
  const { values, curves } = thresholdedMeasures(counts, confidence);
  return {
    values: {
      structure: structureOfLevels(predicted, confidence, truth, size),
      weightedF: weightedFMeasure(predicted, confidence, truth, size),
      mae: meanAbsoluteError(counts, confidence),
      mse: meanSquaredError(counts, confidence),
      ...values,
      'boundaryIou/mean': meanOf(boundaryIou),
      'boundaryIou/max': Math.max(...boundaryIou),
      boundaryAccuracy: boundaryAccuracy(looked(predicted, above128), truth, size),
    },
    curves: { ...curves, boundaryIou },
  };
}

/** [256]: 1 for the levels that the boundary accuracy takes. */
const above128 = Uint8Array.from({ length: 256 }, (_, level) => (level > 128 ? 1 : 0));

/** [pixels]: each grey level's entry in a table. */
function looked(predicted: Uint8Array, table: Uint8Array): Uint8Array {
  const map = new Uint8Array(predicted.length);
  for (let i = 0; i < map.length; i++) map[i] = table[predicted[i]];
  return map;
}

/** The metrics that need no more than counts by level, at every threshold. */
export function thresholdedMeasures(counts: LevelCounts, confidence: Float64Array) {
  const half = atHalf(counts, confidence);
  const adaptive = atAdaptive(counts, confidence);
  const each = atEach(counts, confidence);
  const curve = (measure: (outcome: Outcome) => number): Float64Array => Float64Array.from(each, measure);
  const curves = {
    fMeasure: curve(fMeasure),
    eMeasure: curve(eMeasure),
    iou: curve(overlap),
    dice: curve(dice),
    ber: curve(balancedErrorRate),
    precision: curve(precision),
    recall: curve(recall),
  };
  return {
    curves,
    values: {
      ...variants('fMeasure', fMeasure, half, adaptive, curves.fMeasure),
      ...variants('eMeasure', eMeasure, half, adaptive, curves.eMeasure),
      ...variants('iou', overlap, half, adaptive, curves.iou),
      ...variants('dice', dice, half, adaptive, curves.dice),
      ...variants('ber', balancedErrorRate, half, adaptive, curves.ber),
      ...variants('precision', precision, half, adaptive, curves.precision),
      ...variants('recall', recall, half, adaptive, curves.recall),
    },
  };
}

function variants<Name extends Thresholded>(
  name: Name,
  measure: (outcome: Outcome) => number,
  half: Outcome,
  adaptive: Outcome,
  curve: Float64Array,
) {
  const entries: [Variant, number][] = [
    ['binary', measure(half)],
    ['adaptive', measure(adaptive)],
    ['mean', meanOf(curve)],
    ['max', Math.max(...curve)],
  ];
  return Object.fromEntries(entries.map(([variant, value]) => [`${name}/${variant}`, value])) as Record<
    `${Name}/${Variant}`,
    number
  >;
}

/** NaN of nothing. */
export function meanOf(values: Float64Array | readonly number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total / values.length;
}
