import type { Outcome } from './threshold.js';

/**
 * Published ways to score masks that an expression asks for. They differ in ignored pixels, in ground truths without a
 * target, and in a term of the denominator; on samples with a target and nothing ignored they agree to 1e-5.
 *
 * `seg_r1`: ignored pixels are background, and an empty answer to an empty truth earns 0. `seg_r1_ignore`: the same
 * with ignored pixels excluded from both masks. `lisa`: excluded, too, but if both are empty the sample earns 1.
 * `gref_any_pixel`, `gref_50_pixels`: for sets with samples that have no target; an answer of fewer than 1, of fewer
 * than 50 pixels is a refusal and counts as an empty mask, and a refusal earns 1 where there is no target.
 *
 * @see Seg-R1, arXiv:2506.22624; LISA, arXiv:2308.00692; gRefCOCO, arXiv:2306.00968, where the refusal is the model's
 * own output and a refused target's mask stays in the union of cIoU; here it is empty.
 */
export const conventions = {
  seg_r1: { leavesOut: false, refusedUnder: 0, bothEmpty: 0, added: 1e-10, addedToSet: 1e-10 },
  seg_r1_ignore: { leavesOut: true, refusedUnder: 0, bothEmpty: 0, added: 1e-10, addedToSet: 1e-10 },
  lisa: { leavesOut: true, refusedUnder: 0, bothEmpty: 1, added: 1e-5, addedToSet: 1e-10 },
  gref_any_pixel: { leavesOut: false, refusedUnder: 1, bothEmpty: 1, added: 0, addedToSet: 0 },
  gref_50_pixels: { leavesOut: false, refusedUnder: 50, bothEmpty: 1, added: 0, addedToSet: 0 },
} as const;

export type Convention = keyof typeof conventions;

/** Pixels of one mask and its truth: all of them, and those that are not ignored. */
export interface ReferringSample {
  readonly whole: Outcome;
  /** The same counts where nothing is ignored. */
  readonly heeded: Outcome;
}

/** Overlaps that `Pr@` asks for. */
export const marks = ['0.5', '0.6', '0.7', '0.8', '0.9'] as const;

/** All in [0, 1]; NaN where there is no sample of the kind. */
export interface ReferringScores extends Readonly<Record<`Pr@${(typeof marks)[number]}`, number>> {
  /** Mean over the samples of intersection over union. */
  readonly gIoU: number;
  /** Intersections of all samples over their unions: large objects count for more. */
  readonly cIoU: number;
  /** Share of the samples without a target that got no mask. */
  readonly 'N-acc': number;
  /** Share of the samples with a target that got a mask. */
  readonly 'T-acc': number;
}

/** Intersection over union of one sample, in [0, 1]. */
export function referringIou(sample: ReferringSample, convention: Convention): number {
  const { bothEmpty, added } = conventions[convention];
  const { hits, union } = referringCounts(sample, convention);
  return union === 0 ? bothEmpty : hits / (union + added);
}

/**
 * Scores of a set by one convention. `Pr@X` is the share of the samples with a target whose IoU is at least X.
 *
 * @param samples at least one, each counted once.
 * @throws {RangeError} if there is none.
 */
export function referringScores(samples: readonly ReferringSample[], convention: Convention): ReferringScores {
  if (samples.length === 0) throw new RangeError('referring scores: expected at least 1 sample; got 0');

  const { addedToSet } = conventions[convention];
  const all = samples.map((sample) => ({
    ...referringCounts(sample, convention),
    iou: referringIou(sample, convention),
  }));
  const absent = all.filter(({ target }) => target === 0);
  const present = all.filter(({ target }) => target > 0);
  const hits = sum(all.map((one) => one.hits));
  const union = sum(all.map((one) => one.union));
  const reaching = marks.map((mark) => [`Pr@${mark}`, share(present, ({ iou }) => iou >= Number(mark))] as const);
  return {
    gIoU: sum(all.map(({ iou }) => iou)) / all.length,
    cIoU: union === 0 ? 0 : hits / (union + addedToSet),
    'N-acc': share(absent, ({ refused }) => refused),
    'T-acc': share(present, ({ refused }) => !refused),
    ...(Object.fromEntries(reaching) as Record<(typeof reaching)[number][0], number>),
  };
}

/**
 * What a sample adds to the sums: pixels of the intersection, the union and the target, and whether the answer is a
 * refusal.
 */
export function referringCounts(
  { whole, heeded }: ReferringSample,
  convention: Convention,
): { hits: number; union: number; target: number; refused: boolean } {
  const { leavesOut, refusedUnder } = conventions[convention];
  const { hits, falseAlarms, objectPixels } = leavesOut ? heeded : whole;
  const refused = hits + falseAlarms < Math.max(1, refusedUnder);
  return { hits: refused ? 0 : hits, union: objectPixels + (refused ? 0 : falseAlarms), target: objectPixels, refused };
}

function share<T>(among: readonly T[], counts: (one: T) => boolean): number {
  return among.filter(counts).length / among.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
