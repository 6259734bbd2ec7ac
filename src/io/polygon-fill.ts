import type { Size } from '../records.js';

type Point = readonly [x: number, y: number];

/** An edge from its upper to its lower end; x in 65536ths of a pixel at row `top`, and its change a row. */
interface Slope {
  readonly top: number;
  readonly bottom: number;
  readonly x: number;
  readonly perRow: number;
}

const ONE = 65_536;

/**
 * Paints a closed polygon and its outline, one pixel wide, as OpenCV's `fillPoly` does to the pixel; even-odd inside.
 *
 * @param raster [height × width], written to.
 * @param points whole pixels; parts outside are cut off.
 */
export function fillPolygon(raster: Uint8Array, size: Size, points: readonly Point[], value: number): void {
  const edges = points.map((to, i): readonly [Point, Point] => [points.at(i - 1)!, to]);
  for (const [from, to] of edges) drawLine(raster, size, from, to, value);
  const slopes = edges.filter(([from, to]) => from[1] !== to[1]).map(([from, to]) => slopeOf(from, to, size));
  fillRows(raster, size, slopes, value);
}

function fillRows(raster: Uint8Array, { width, height }: Size, slopes: readonly Slope[], value: number): void {
  const first = Math.max(
    0,
    slopes.reduce((least, { top }) => Math.min(least, top), height),
  );
  const end = Math.min(
    height,
    slopes.reduce((most, { bottom }) => Math.max(most, bottom), 0),
  );
  const waiting = slopes.toSorted((a, b) => b.top - a.top);
  let active: Slope[] = [];
  for (let y = first; y < end; y++) {
    active = active.filter(({ bottom }) => y < bottom);
    while ((waiting.at(-1)?.top ?? Infinity) <= y) {
      const next = waiting.pop()!;
      if (y < next.bottom) active.push(next);
    }
    const xs = new Float64Array(active.length);
    for (let i = 0; i < xs.length; i++) xs[i] = active[i].x + (y - active[i].top) * active[i].perRow;
    xs.sort();
    for (let i = 0; i + 1 < xs.length; i += 2) {
      const [left, right] = [Math.max(0, Math.ceil(xs[i] / ONE)), Math.min(width - 1, Math.floor(xs[i + 1] / ONE))];
      if (left <= right) raster.fill(value, y * width + left, y * width + right + 1);
    }
  }
}

/** Where an edge leaves the canvas its slope is that of what is left of it. */
function slopeOf(from: Point, to: Point, size: Size): Slope {
  const [a, b] = clipped(from, to, size).ends;
  const seen =
    a[1] === b[1]
      ? ([
          [a[0], from[1]],
          [b[0], to[1]],
        ] as const)
      : ([a, b] as const);
  const perRow = Math.trunc(((seen[1][0] - seen[0][0]) * ONE) / (seen[1][1] - seen[0][1]));
  const [top, bottom, upper] = from[1] < to[1] ? [from[1], to[1], seen[0]] : [to[1], from[1], seen[1]];
  return { top, bottom, x: upper[0] * ONE + (top - upper[1]) * perRow, perRow };
}

/** Bresenham's line, from left to right, of what lies on the canvas. */
function drawLine(raster: Uint8Array, size: Size, from: Point, to: Point, value: number): void {
  const { ends, visible } = clipped(from, to, size);
  if (!visible) return;
  const [start, end] = ends[0][0] > ends[1][0] ? [ends[1], ends[0]] : ends;
  const [across, down] = [end[0] - start[0], Math.abs(end[1] - start[1])];
  const [long, short] = down > across ? [down, across] : [across, down];
  const rowStep = end[1] < start[1] ? -size.width : size.width;
  const [always, sometimes] = down > across ? [rowStep, 1] : [1, rowStep];
  let at = start[1] * size.width + start[0];
  let error = long - 2 * short;
  for (let i = 0; i <= long; i++) {
    raster[at] = value;
    at += error < 0 ? always + sometimes : always;
    error += (error < 0 ? 2 * long : 0) - 2 * short;
  }
}

/**
 * The part of a line on the canvas, ends rounded towards the original ends; a line that misses it may be cut half-way.
 */
function clipped(from: Point, to: Point, { width, height }: Size): { ends: readonly [Point, Point]; visible: boolean } {
  const [right, bottom] = [width - 1, height - 1];
  const beside = (x: number): number => (x < 0 ? 1 : x > right ? 2 : 0);
  const above = (y: number): number => (y < 0 ? 4 : y > bottom ? 8 : 0);
  let [[x1, y1], [x2, y2]] = [from, to];
  let [first, second] = [beside(x1) + above(y1), beside(x2) + above(y2)];
  const crosses = (): boolean => (first & second) === 0 && (first | second) !== 0;

  if (crosses()) {
    if (first & 12) {
      const edge = first < 8 ? 0 : bottom;
      [x1, y1] = [x1 + Math.trunc(((edge - y1) * (x2 - x1)) / (y2 - y1)), edge];
      first = beside(x1);
    }
    if (second & 12) {
      const edge = second < 8 ? 0 : bottom;
      [x2, y2] = [x2 + Math.trunc(((edge - y2) * (x2 - x1)) / (y2 - y1)), edge];
      second = beside(x2);
    }
    if (crosses()) {
      if (first)
        [y1, x1, first] = [
          y1 + Math.trunc((((first === 1 ? 0 : right) - x1) * (y2 - y1)) / (x2 - x1)),
          first === 1 ? 0 : right,
          0,
        ];
      if (second)
        [y2, x2, second] = [
          y2 + Math.trunc((((second === 1 ? 0 : right) - x2) * (y2 - y1)) / (x2 - x1)),
          second === 1 ? 0 : right,
          0,
        ];
    }
  }
  return {
    ends: [
      [x1, y1],
      [x2, y2],
    ],
    visible: (first | second) === 0,
  };
}
