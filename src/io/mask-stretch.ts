import type { Mask, Size } from '../records.js';
import { decodeMask, encodeMask } from './mask-bits.js';
import { resizeGray } from './resize.js';

/**
 * A mask at another size, as its picture of 0 and 255 would be: bilinear weights, foreground over `threshold`.
 *
 * @param threshold 127 for ground truth, 128 to fit a prediction to it, as Seg-R1 does.
 * @returns the same object where nothing changes.
 */
export function stretchMask(mask: Mask, size: Size, threshold: 127 | 128 = 127): Mask {
  if (mask.width === size.width && mask.height === size.height) return mask;
  const gray = resizeGray(
    decodeMask(mask).map((bit) => bit * 255),
    mask,
    size,
    'bilinear',
  );
  return encodeMask(
    gray.map((level) => (level > threshold ? 1 : 0)),
    { width: size.width, height: size.height },
  );
}
