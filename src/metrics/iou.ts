/**
 * Intersection over union of two bitmaps, in [0, 1]; 0 where both are empty, as Seg-R1's reward has it.
 *
 * @param predicted [pixels], 0 or 1, in the same order as `truth`.
 * @throws {RangeError} if the lengths differ.
 */
export function iou(predicted: Uint8Array, truth: Uint8Array): number {
  if (predicted.length !== truth.length)
    throw new RangeError(`iou: expected bitmaps of one length; got ${predicted.length} and ${truth.length}`);

  let both = 0;
  let either = 0;
  for (let i = 0; i < truth.length; i++) {
    both += predicted[i] & truth[i];
    either += predicted[i] | truth[i];
  }
  return either === 0 ? 0 : both / either;
}
