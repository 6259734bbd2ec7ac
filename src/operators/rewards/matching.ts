import { clickCentre } from '../../io/click.js';
import { decodeMask } from '../../io/mask.js';
import { assignment } from '../../metrics/assignment.js';
import { boxIou } from '../../metrics/box.js';
import { parts } from '../../metrics/parts.js';
import type { Box, Mask, Prompt, PromptObject, Size } from '../../records.js';

/** One object of the ground truth. */
export interface Instance {
  readonly box: Box;
  /** The point where it is thickest. */
  readonly x: number;
  readonly y: number;
}

/** Side of the frame in which distances are measured, px, for all rows. */
const SIDE = 840;
const NEAR = { overlap: 0.5, corners: 10, point: 30 };
/** Further boxes or objects are ignored. */
const MOST = 120;
/** A component under this share of the ground truth is a speck, not an object. */
const SPECK = 0.01;

/**
 * How well a prompt's boxes fit the ground truth's objects one by one, in [0, 3].
 *
 * A box and an object earn 1 each where their IoU is above 0.5, where their edges lie less than 10 px apart on average,
 * and where a foreground point in the box lies less than 30 px from the object's middle; pixels of an 840 px frame.
 * Boxes and objects are paired for the highest sum, which is divided by the larger number of the two.
 *
 * @param instances of the ground truth, in pixels of `prompt.frame`.
 * @see VisionReasoner, arXiv:2505.12081; there each box has its own point.
 */
export function matching(prompt: Prompt | null, instances: readonly Instance[]): number {
  const objects = (prompt?.objects ?? []).filter(({ box }) => box).slice(0, MOST);
  if (prompt === null || objects.length === 0 || instances.length === 0) return 0;
  const earned = objects.map((object) => instances.map((instance) => fit(object, instance, prompt.frame)));
  const pairs = assignment(earned.map((row) => row.map((value) => -value)));
  const total = pairs.reduce((sum, column, row) => sum + (column < 0 ? 0 : earned[row][column]), 0);
  return total / Math.max(objects.length, instances.length);
}

/** The objects of a ground truth: its 8-connected components without specks; at most 120, in reading order. */
export function instancesOf(truth: Mask): Instance[] {
  const labels = parts(decodeMask(truth), truth);
  const extents = extentsOf(labels, truth);
  const area = extents.reduce((sum, extent) => sum + extent.area, 0);
  return extents
    .filter((extent) => extent.area >= SPECK * area)
    .slice(0, MOST)
    .map((extent) => instanceOf(labels, truth, extent));
}

interface Extent {
  readonly label: number;
  readonly area: number;
  readonly box: Box;
}

function extentsOf(labels: Int32Array, { width }: Size): Extent[] {
  const extents: { label: number; area: number; box: [number, number, number, number] }[] = [];
  for (const [i, label] of labels.entries()) {
    if (label === 0) continue;
    const x = i % width;
    const y = (i - x) / width;
    const extent = (extents[label - 1] ??= { label, area: 0, box: [x, y, x, y] });
    const { box } = extent;
    extent.area++;
    extent.box = [Math.min(box[0], x), box[1], Math.max(box[2], x), y];
  }
  return extents;
}

function instanceOf(labels: Int32Array, { width }: Size, { label, box }: Extent): Instance {
  const [left, top, right, bottom] = box;
  const window = { width: right - left + 1, height: bottom - top + 1 };
  const bits = new Uint8Array(window.width * window.height);
  for (let i = 0; i < bits.length; i++) {
    const x = i % window.width;
    bits[i] = labels[((i - x) / window.width + top) * width + left + x] === label ? 1 : 0;
  }
  const { x, y } = clickCentre(bits, window)!;
  return { box, x: left + x, y: top + y };
}

function fit({ box, points }: PromptObject, { box: other, x, y }: Instance, frame: Size): number {
  if (!box) return 0;
  const [across, down] = [SIDE / frame.width, SIDE / frame.height];
  const corners = box.reduce((sum, edge, i) => sum + Math.abs(edge - other[i]) * (i % 2 === 0 ? across : down), 0) / 4;
  const inside = points.filter(
    (point) => point.label === 1 && point.x >= box[0] && point.x <= box[2] && point.y >= box[1] && point.y <= box[3],
  );
  const close = inside.some((point) => Math.hypot((point.x - x) * across, (point.y - y) * down) < NEAR.point);
  return Number(boxIou(box, other) > NEAR.overlap) + Number(corners < NEAR.corners) + Number(close);
}
