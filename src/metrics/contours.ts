import type { Size } from '../records.js';

/** Pixels of a border in the order they are followed: [points], each y × width + x. */
export type Contour = readonly number[];

interface Border {
  readonly hole: boolean;
  readonly parent: Border | null;
  readonly inner: Border[];
  readonly contour: Contour;
}

/**
 * Follows the outer and inner borders of a bitmap's 8-connected parts.
 *
 * @param bits [height × width], 0 or 1.
 * @returns each border before those within it, and of neighbours the one found last first, as OpenCV's tree is read.
 * @see Suzuki and Abe, Topological structural analysis of digitized binary images, 1985.
 */
export function contours(bits: Uint8Array, { width, height }: Size): Contour[] {
  const stride = width + 2;
  const labels = new Int32Array(stride * (height + 2));
  for (let y = 0; y < height; y++) labels.set(bits.subarray(y * width, (y + 1) * width), (y + 1) * stride + 1);

  // Numbers 0 and 1 are unmarked pixels; the frame counts as a hole.
  const frame: Border = { hole: true, parent: null, inner: [], contour: [] };
  const borders: Border[] = [frame, frame];
  for (let y = 1; y <= height; y++) {
    let last = 1;
    for (let x = 1, i = y * stride + 1; x <= width + 1; x++, i++) {
      const [before, here] = [labels[i - 1], labels[i]];
      const hole = here === 0 && before >= 1;
      if (hole && before > 1) last = before;
      if (hole || (before === 0 && here === 1)) {
        const beside = borders[last];
        const parent = beside.hole === hole ? beside.parent ?? frame : beside;
        const contour = follow(labels, hole ? i - 1 : i, hole, borders.length, stride).map((at) => (Math.floor(at / stride) - 1) * width + (at % stride) - 1);
        const border: Border = { hole, parent, inner: [], contour };
        parent.inner.push(border);
        borders.push(border);
      }
      const marked = Math.abs(labels[i]);
      if (marked > 1) last = marked;
    }
  }
  return inOrder(frame);
}

function inOrder({ inner }: Border): Contour[] {
  return inner.toReversed().flatMap((border) => [border.contour, ...inOrder(border)]);
}

/** Follows one border from `start`, marking its pixels with `label`, negative where the right neighbour lies outside. */
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
  for (let at = start; ; ) {
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
