import type { Size } from '../records.js';
import { erode } from './erosion.js';
import { countLevels } from './level-counts.js';

/** Width of a boundary, as a share of the diagonal. */
const WIDTH = 0.02;

/**
 * Boundary IoU at each threshold from 255 down to 0: overlap of what erosion takes from prediction and from truth.
 *
 * @param predicted [height × width], confidences as whole levels 0 to 255.
 * @param truth [height × width], 0 or 1.
 * @returns [256], each in [0, 1]; 0 where the ground truth has no boundary.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Cheng et al., Boundary IoU, CVPR 2021, arXiv:2103.16562.
 */
export function boundaryOverlaps(predicted: Uint8Array, truth: Uint8Array, size: Size): Float64Array {
  const pixels = size.width * size.height;
  if (predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(
      `boundary overlap: expected ${size.width}x${size.height} = ${pixels} values; got ${predicted.length} and ${truth.length}`,
    );
  }
  const { object, background, objectPixels } = countLevels(boundary(predicted, size), boundary(truth, size));
  let hits = 0;
  let falseAlarms = 0;
  return new Float64Array(256).map((_, i) => {
    hits += object[255 - i];
    falseAlarms += background[255 - i];
    return hits / (Math.max(1, objectPixels) + falseAlarms);
  });
}

/** What erosion by 2 % of the diagonal, at least a pixel, takes from each value. */
function boundary(map: Uint8Array, size: Size): Uint8Array {
  const reach = Math.max(1, Math.round(WIDTH * Math.sqrt(size.width ** 2 + size.height ** 2)));
  const inner = erode(map, size, reach);
  for (let i = 0; i < inner.length; i++) inner[i] = map[i] - inner[i];
  return inner;
}
