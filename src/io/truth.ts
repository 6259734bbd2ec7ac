import { DataError, messageOf } from '../errors.js';
import type { Mask, Size } from '../records.js';
import { cocoMask, readCocoFile } from './coco-annotations.js';
import { readMaskFile } from './mask-file.js';
import { stretchMask } from './mask-stretch.js';
import { emptyMask, unionMasks } from './mask.js';
import { readReasonAnnotation, reasonMasks } from './reason-truth.js';

/** A ground truth. */
export interface Truth {
  readonly mask: Mask;
  /** Pixels that count neither for nor against a prediction. */
  readonly ignore?: Mask;
  /** Size at which it is stored. */
  readonly original: Size;
}

/**
 * Names annotations of a COCO file: `instances.json#12,15`; none of them, `instances.json#`, says that nothing is to be
 * found.
 */
export function cocoReference(path: string, ids: readonly number[]): string {
  return `${path}#${ids.join(',')}`;
}

/** Whether a reference says that there is no object, so that an empty mask is valid. */
export function isNoTarget(reference: string): boolean {
  return reference.endsWith('.json#');
}

/**
 * Reads a ground truth by its reference: a mask picture, a `.json` of ReasonSeg, or annotations of a COCO file.
 *
 * @param original size of the image, at which shapes are drawn; `frame` is the size that is wanted.
 * @throws {DataError} if it can't be read or drawn.
 * @throws {UsageError} if a file of annotations can't be read as a whole.
 */
export async function readTruth(reference: string, original: Size, frame: Size): Promise<Truth> {
  const [, path, ids] = /^(.*\.json)#([\d,]*)$/.exec(reference) ?? [];
  if (path !== undefined)
    return stretched(cocoTruth(path, (ids ?? '').split(',').filter(Boolean).map(Number), original), frame);
  if (!reference.toLowerCase().endsWith('.json')) return readMaskFile(reference, frame);
  const { truth, ignore } = reasonMasks(readReasonAnnotation(reference).shapes, original);
  return stretched({ mask: truth, original, ignore }, frame);
}

function cocoTruth(path: string, ids: readonly number[], original: Size): Truth {
  const { annotations, images } = readCocoFile(path);
  const masks = ids.map((id) => {
    const annotation = annotations.get(id);
    const image = annotation && images.get(annotation.image_id);
    if (!image) throw new DataError(`${path}#${id}  annotation: expected one, with its image; got none`);
    try {
      return cocoMask(annotation.segmentation, { width: image.width, height: image.height });
    } catch (error) {
      throw new DataError(`${path}#${id}  annotation: ${messageOf(error)}`, { cause: error });
    }
  });
  const mask = masks.length === 0 ? emptyMask(original) : unionMasks(masks);
  return { mask, original: { width: mask.width, height: mask.height } };
}

function stretched({ mask, ignore, original }: Truth, frame: Size): Truth {
  return { mask: stretchMask(mask, frame), original, ...(ignore && { ignore: stretchMask(ignore, frame) }) };
}
