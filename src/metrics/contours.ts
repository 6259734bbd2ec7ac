import type { Size } from '../records.js';
import { framed, runs } from './runs.js';

/** One border of a part, outside or around a hole. */
export interface Contour {
  /** Number of the part, from 0. */
  readonly part: number;
  /** In the order they are followed: [points], each y × width + x. */
  readonly points: readonly number[];
}

interface Border extends Contour {
  readonly hole: boolean;
  readonly parent: Border | null;
  readonly inner: Border[];
}

/**
 * Follows the outer and inner borders of a bitmap's 8-connected parts.
 *
 * @param bits [height × width], 0 or 1.
 * @returns each border before those within it, and of neighbours the one found last first, as OpenCV's tree is read.
 * @see Suzuki and Abe, Topological structural analysis of digitized binary images, 1985.
 */
export function contours(bits: Uint8Array, size: Size): Contour[] {
  const map = framed(bits, size);
  const { stride } = map;
  const labels = new Int32Array(map.bits.length);
  const found = runs(map);
  for (let k = 0; k < found.length; k += 2) labels.fill(1, found[k], found[k + 1]);

  // Numbers 0 and 1 are unmarked pixels; the frame counts as a hole.
  const frame: Border = { hole: true, parent: null, inner: [], part: -1, points: [] };
  const borders: Border[] = [frame, frame];
  let parts = 0;
  const open = (start: number, hole: boolean, last: number): void => {
    const beside = borders[last];
    const parent = beside.hole === hole ? (beside.parent ?? frame) : beside;
    const points = follow(labels, start, hole, borders.length, stride).map(
      (at) => (Math.floor(at / stride) - 1) * size.width + (at % stride) - 1,
    );
    const border: Border = { hole, parent, inner: [], part: hole ? parent.part : parts++, points };
    parent.inner.push(border);
    borders.push(border);
  };
  for (let k = 0, row = 0, last = 1; k < found.length; k += 2) {
    const [from, end] = [found[k], found[k + 1]];
    if (from >= row + stride) [row, last] = [from - (from % stride), 1];
    if (labels[from] === 1) open(from, false, last);
    for (let i = from; i < end; i++) if (labels[i] !== 1) last = Math.abs(labels[i]);
    if (labels[end - 1] >= 1) open(end - 1, true, last);
  }
  return inOrder(frame);
}

function inOrder({ inner }: Border): Contour[] {
  return inner.toReversed().flatMap((border) => [border, ...inOrder(border)]);
}

/**
 * Follows one border from `start`, marking its pixels with `label`, negative where the right neighbour lies outside.
 */
function follow(labels: Int32Array, start: number, hole: boolean, label: number, stride: number): number[] {
  // From the right, counterclockwise.
  const steps = [1, 1 - stride, -stride, -stride - 1, -1, stride - 1, stride, stride + 1];
  const origin = hole ? 0 : 4;
  let s = origin;
  do s = (s + 7) % 8;
  while (labels[start + steps[s]] === 0 && s !== origin);
  if (s === origin) {
    labels[start] = -label;
    return [start];
  }
  const end = start + steps[s];
  const points: number[] = [];
  for (let at = start; ;) {
    const from = s;
    do s = (s + 1) % 8;
    while (labels[at + steps[s]] === 0);
    // Turning past direction 0 means that the right neighbour was seen to be 0.
    if (s !== 0 && s - 1 < from) labels[at] = -label;
    else if (labels[at] === 1) labels[at] = label;
    points.push(at);
    const next = at + steps[s];
    if (next === start && at === end) return points;
    at = next;
    s = (s + 4) % 8;
  }
}
