import { boxOfMask } from '../../io/mask.js';
import { boxIou } from '../../metrics/box.js';
import type { Box, Mask, Prompt } from '../../records.js';

/**
 * IoU of the box around all boxes of a prompt with the box around the ground truth, in [0, 1]; 0 if either has none. A
 * box with corners in the wrong order does not count.
 */
export function boxOverlap(prompt: Prompt | null, truth: Mask): number {
  const boxes = (prompt?.objects ?? []).flatMap(({ box }) =>
    box && box[0] <= box[2] && box[1] <= box[3] ? [box] : [],
  );
  const around = boxOfMask(truth);
  return boxes.length > 0 && around ? boxIou(hull(boxes), around) : 0;
}

function hull(boxes: readonly Box[]): Box {
  const side = (corner: 0 | 1 | 2 | 3): number[] => boxes.map((box) => box[corner]);
  return [Math.min(...side(0)), Math.min(...side(1)), Math.max(...side(2)), Math.max(...side(3))];
}
