/** An IoU to exceed, and its reward; the first match counts. */
const TIERS = [
  [0.8, 4],
  [0.7, 3],
  [0.5, 2],
] as const;

/**
 * IoU in steps: 4 above 0.8, 3 above 0.7, 2 above 0.5, else 0.
 *
 * @see SAM-R1, arXiv:2505.22596.
 */
export function tieredOverlap(iou: number): number {
  return TIERS.find(([above]) => iou > above)?.[1] ?? 0;
}
