/** x1, y1, x2, y2: inclusive pixels. */
type Box = readonly [number, number, number, number];

const area = ([x1, y1, x2, y2]: Box): number => Math.max(0, x2 - x1 + 1) * Math.max(0, y2 - y1 + 1);

/** Intersection over union of two boxes of one frame, in [0, 1]; 0 where both are empty. */
export function boxIou(a: Box, b: Box): number {
  const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  const union = area(a) + area(b) - shared;
  return union === 0 ? 0 : shared / union;
}
