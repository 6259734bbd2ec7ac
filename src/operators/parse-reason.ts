import type { Box, Point, Prompt, Size } from '../records.js';
import { firstBox, integersOf } from './parse-text.js';

/**
 * Reads a completion as Seg-R1's released evaluation of ReasonSeg does: the first `<bbox>`, whose closing tag may be
 * missing, with all the points, in the box or not. Numbers may begin with 0. Points and labels of different numbers, or
 * with a label other than 0 and 1, are left out.
 *
 * @returns null without a box and without points.
 * @see `eval_reasoning_segmentation.py` of Seg-R1's repository.
 */
export function readReasoning(text: string, frame: Size): Prompt | null {
  const [x1, y1, x2, y2] = firstBox(text) ?? [];
  const box = y2 === undefined ? undefined : ([x1, y1, x2, y2] as Box);
  const [points, labels] = [integersOf(text, 'points', 2), integersOf(text, 'labels', 1)];
  const fit = points !== undefined && labels?.length === points.length && labels.every(([label]) => label <= 1);
  const clicks = fit ? points.map(([x, y], i): Point => ({ x, y, label: labels[i][0] as 0 | 1 })) : [];
  if (!box && clicks.length === 0) return null;
  return { frame, objects: [box ? { box, points: clicks, everyPoint: true } : { points: clicks }] };
}
