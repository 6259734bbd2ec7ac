import { readFileSync } from 'node:fs';

/**
 * Random polygons of 3 to 9 points on canvases of 1 to 59 px, most of them reaching beyond it. `coco` is
 * pycocotools 2.0.11: frPyObjects([flat], h, w)[0]["counts"]; `cv2` is opencv 4.14.0: polylines(m, [int32], True, 1, 1)
 * and fillPoly(m, [int32], 1), encoded by pycocotools.
 */
export const polygons = linesOf<{ size: [number, number]; points: [number, number][]; cv2: string; coco: string }>(
  'polygons',
);

/** Polygons with points up to 100,000 px away, on canvases of up to 64 px; `counts` is pycocotools 2.0.11 as above. */
export const farPolygons = linesOf<{ size: [width: number, height: number]; flat: number[]; counts: string }>(
  'polygons-far',
);

function linesOf<T>(name: string): T[] {
  return readFileSync(new URL(`fixtures/${name}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line): T => JSON.parse(line));
}
