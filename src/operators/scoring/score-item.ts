import { DataError, shown } from '../../errors.js';
import { readImageFile, toGray } from '../../io/image.js';
import { decodeMask, encodeMask } from '../../io/mask-bits.js';
import { resizeNearest } from '../../io/resize-nearest.js';
import { resizeGray } from '../../io/resize.js';
import type { ReferringSample } from '../../metrics/referring.js';
import type { Mask, Size } from '../../records.js';
import { scoreForeground, type Foreground, type GrayMap } from './score-foreground.js';
import { referringSample } from './score-referring.js';

/** A prediction and its ground truth, to be scored: one object an image, or an expression's target. */
export interface ScoreJob {
  readonly kind: 'foreground' | 'referring';
  /** A picture, or a mask to be resized; null if missing, which counts as an empty mask. */
  readonly predicted: { readonly path: string } | { readonly mask: Mask; readonly stored: Size } | null;
  /** At the size at which it is stored; its pixels over 128 are the object. */
  readonly truth: { readonly path: string } | { readonly mask: Mask };
  /** Pixels that count neither for nor against the prediction; only for `referring`. */
  readonly ignore?: Mask;
}

/** The contribution of an item to its set. */
export type Judged =
  | { readonly kind: 'foreground'; readonly foreground: Foreground }
  | { readonly kind: 'referring'; readonly sample: ReferringSample };

/**
 * Scores one prediction. A mask at frame size is stretched to the stored size with bilinear weights, and keeps its grey
 * edges for `foreground`, as in Seg-R1's pictures; a picture of another size than the ground truth is resized by
 * nearest pixels.
 *
 * @throws {DataError} if a picture can't be read, or a ground truth has grey levels but none over 128.
 */
export async function scoreItem({ kind, predicted, truth, ignore }: ScoreJob): Promise<Judged> {
  const wanted = 'path' in truth ? await truthPicture(truth.path) : levelsOf(truth.mask, truth.mask);
  const answer =
    predicted === null
      ? null
      : 'path' in predicted
        ? await picture(predicted.path)
        : levelsOf(predicted.mask, predicted.stored);
  if (kind === 'foreground') return { kind, foreground: scoreForeground(answer, wanted) };
  return { kind, sample: referringSample(answer && overHalf(answer, wanted), overHalf(wanted, wanted), ignore) };
}

async function picture(path: string): Promise<GrayMap> {
  const image = await readImageFile(path);
  return { width: image.width, height: image.height, data: toGray(image) };
}

/** Masks of 0 and 1, or of class numbers, would all be empty. */
async function truthPicture(path: string): Promise<GrayMap> {
  const truth = await picture(path);
  const highest = truth.data.reduce((high, level) => Math.max(high, level), 0);
  if (highest > 0 && highest <= 128)
    throw new DataError(
      `${path}  truth: expected object pixels over 128; got none over ${shown(highest)}; way out: store objects as 255`,
    );
  return truth;
}

function levelsOf(mask: Mask, stored: Size): GrayMap {
  return {
    width: stored.width,
    height: stored.height,
    data: resizeGray(
      decodeMask(mask).map((bit) => bit * 255),
      mask,
      stored,
    ),
  };
}

function overHalf(levels: GrayMap, size: Size): Mask {
  return encodeMask(
    resizeNearest(levels.data, levels, size).map((level) => (level > 128 ? 1 : 0)),
    { width: size.width, height: size.height },
  );
}
