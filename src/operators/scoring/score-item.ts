import { DataError } from '../../errors.js';
import { readPlanes, toGray, type Planes } from '../../io/image.js';
import { decodeMask, encodeMask } from '../../io/mask-bits.js';
import { confidenceFault, maskFault } from '../../io/mask-levels.js';
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
 * @throws {DataError} if a picture can't be read, or its levels are none of a mask: see `maskFault`.
 */
export async function scoreItem({ kind, predicted, truth, ignore }: ScoreJob): Promise<Judged> {
  const wanted =
    'path' in truth
      ? await picture('truth', truth.path, (planes, gray) => maskFault(planes, gray, 128))
      : levelsOf(truth.mask, truth.mask);
  const answer =
    predicted === null
      ? null
      : 'path' in predicted
        ? await picture('prediction', predicted.path, (planes, gray) =>
            confidenceFault(planes, gray, kind === 'referring'),
          )
        : levelsOf(predicted.mask, predicted.stored);
  if (kind === 'foreground') return { kind, foreground: scoreForeground(answer, wanted) };
  return { kind, sample: referringSample(answer && overHalf(answer, wanted), overHalf(wanted, wanted), ignore) };
}

async function picture(
  what: 'truth' | 'prediction',
  path: string,
  faultOf: (planes: Planes, gray: Uint8Array) => string | undefined,
): Promise<GrayMap> {
  const planes = await readPlanes(path);
  const data = toGray(planes.image);
  const fault = faultOf(planes, data);
  if (fault !== undefined) throw new DataError(`${path}  ${what}: ${fault}`);
  return { width: planes.image.width, height: planes.image.height, data };
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
