import { emptyMask, intersectionArea, maskArea, subtractMask } from '../../io/mask.js';
import { stretchMask } from '../../io/mask-stretch.js';
import { dice } from '../../metrics/overlap.js';
import {
  conventions,
  referringIou,
  referringScores,
  type Convention,
  type ReferringSample,
  type ReferringScores,
} from '../../metrics/referring.js';
import type { Outcome } from '../../metrics/threshold.js';
import type { Mask } from '../../records.js';

/** A prediction and its ground truth, at the ground truth's stored size. */
export interface Answer {
  readonly id: string;
  /** Null if missing or unreadable: it counts as an empty mask. */
  readonly predicted: Mask | null;
  readonly truth: Mask;
  readonly ignore?: Mask;
}

export interface ReferringItem {
  readonly id: string;
  readonly missing: boolean;
  readonly iou: Readonly<Record<Convention, number>>;
  /** Twice the intersection over the sum of both areas, nothing excluded; 0 if both are empty. */
  readonly dice: number;
}

export interface ReferringReport {
  readonly items: readonly ReferringItem[];
  /** Of all items, by convention. */
  readonly sets: Readonly<Record<Convention, ReferringScores>>;
  /** Items without a prediction. */
  readonly missing: number;
}

/**
 * Scores predictions for expressions, each once, by every published convention.
 *
 * @throws {RangeError} if there is none. @throws {DataError} if an ignored region is not of the ground truth's size.
 */
export function scoreReferring(answers: Iterable<Answer>): ReferringReport {
  const samples: ReferringSample[] = [];
  const items: ReferringItem[] = [];
  for (const { id, predicted, truth, ignore } of answers) {
    const sample = referringSample(predicted, truth, ignore);
    samples.push(sample);
    items.push({
      id,
      missing: predicted === null,
      iou: byConvention((convention) => referringIou(sample, convention)),
      dice: dice(sample.whole),
    });
  }
  return {
    items,
    sets: byConvention((convention) => referringScores(samples, convention)),
    missing: items.filter(({ missing }) => missing).length,
  };
}

/**
 * Pixels of a prediction and its ground truth, resized to the ground truth's size.
 *
 * @throws {DataError} if the ignored region is not of that size.
 */
export function referringSample(predicted: Mask | null, truth: Mask, ignore?: Mask): ReferringSample {
  const answer = predicted === null ? emptyMask(truth) : stretchMask(predicted, truth, 128);
  const whole = outcome(answer, truth, truth.width * truth.height);
  if (!ignore) return { whole, heeded: whole };
  return {
    whole,
    heeded: outcome(subtractMask(answer, ignore), subtractMask(truth, ignore), whole.pixels - maskArea(ignore)),
  };
}

function outcome(answer: Mask, truth: Mask, pixels: number): Outcome {
  const hits = intersectionArea(answer, truth);
  return { hits, falseAlarms: maskArea(answer) - hits, objectPixels: maskArea(truth), pixels };
}

function byConvention<T>(value: (convention: Convention) => T): Record<Convention, T> {
  return Object.fromEntries(
    (Object.keys(conventions) as Convention[]).map((convention) => [convention, value(convention)]),
  ) as Record<Convention, T>;
}
