import { DataError, shown } from '../errors.js';
import type { Mask, Size } from '../records.js';

/** Each pixel is this many steps of the outline wide and high. */
const STEPS = 5;
/** Coordinates beyond this, px, are taken for damage. */
const FARTHEST = 1e5;

/** Most columns that the edges of one outline may pass, all together: a second or two of work. */
const MOST_CROSSINGS = 5e7;

type Point = readonly [x: number, y: number];

/**
 * The mask that pycocotools makes of one polygon, byte for byte: its outline is walked in fifths of a pixel, and where
 * it passes the middle of a column, everything below changes sides. Only those places are computed.
 *
 * @param flat x, y, x, y … in pixels; at least three points. Parts outside `size` are cut off.
 * @throws {DataError} for fewer points, an odd number of coordinates, one that is not a number within 100,000 px, or an
 * outline that passes more than 50 million columns.
 */
export function maskOfPolygon(flat: readonly number[], size: Size): Mask {
  if (flat.length < 6 || flat.length % 2 !== 0)
    throw new DataError(`polygon: expected x and y of at least 3 points; got ${flat.length} numbers`);
  const wrong = flat.find((value) => typeof value !== 'number' || !(Math.abs(value) <= FARTHEST));
  if (wrong !== undefined)
    throw new DataError(`polygon: expected coordinates within ${FARTHEST} px; got ${shown(wrong)}`);

  const fine = flat.map((value) => Math.trunc(STEPS * value + 0.5));
  const edges = Array.from({ length: fine.length / 2 }, (_, i): readonly [Point, Point] => [
    [fine[2 * i], fine[2 * i + 1]],
    [fine[(2 * i + 2) % fine.length], fine[(2 * i + 3) % fine.length]],
  ]);
  const count = edges.reduce((sum, [from, to]) => sum + Math.max(0, span(from, to, size).length), 0);
  if (count > MOST_CROSSINGS)
    throw new DataError(`polygon: expected an outline that passes at most ${MOST_CROSSINGS} columns; got ${count}`);
  return { width: size.width, height: size.height, counts: runsBetween(changes(edges, count, size), size) };
}

/** Columns whose middle an edge passes. */
function span(from: Point, to: Point, { width }: Size): { readonly first: number; readonly length: number } {
  const [left, right] = from[0] < to[0] ? [from[0], to[0]] : [to[0], from[0]];
  const first = Math.max(0, Math.ceil((left - MIDDLE) / STEPS));
  const last = Math.min(width - 1, Math.floor((right - 1 - MIDDLE) / STEPS));
  return { first, length: last - first + 1 };
}

/** Steps from the left side of a column to the one before its middle. */
const MIDDLE = 2;

/** Places, column by column, at which sides change, sorted; two changes at one place are none. */
function changes(edges: readonly (readonly [Point, Point])[], count: number, size: Size): number[] {
  const pixels = size.width * size.height;
  const places = new Float64Array(count < pixels ? count : 0);
  // Where there are more crossings than pixels, each place keeps whether it changes.
  const odd = new Uint8Array(count < pixels ? 0 : pixels + 1);
  let at = 0;
  for (const [from, to] of edges) {
    const { first, length } = span(from, to, size);
    for (let column = first; column < first + length; column++) {
      const row = (rowAt(from, to, column * STEPS + MIDDLE) + 0.5) / STEPS - 0.5;
      const place = column * size.height + Math.ceil(Math.min(Math.max(row, 0), size.height));
      if (count < pixels) places[at++] = place;
      else odd[place] ^= 1;
    }
  }
  const kept: number[] = [];
  if (count >= pixels) {
    odd.forEach((changed, place) => changed && kept.push(place));
    return kept;
  }
  for (const place of places.sort()) {
    if (kept.at(-1) === place) kept.pop();
    else kept.push(place);
  }
  return kept;
}

/**
 * The upper one of two neighbouring steps of an edge, at `x` and `x + 1`.
 *
 * An edge is walked one unit of its longer side at a time, rounded as seen from its lower end.
 */
function rowAt(from: Point, to: Point, x: number): number {
  const [width, height] = [Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
  const along = width >= height ? 0 : 1;
  const [low, high] = from[along] > to[along] ? [to, from] : [from, to];
  const slope = (high[1 - along] - low[1 - along]) / Math.max(width, height);
  const across = (step: number): number => Math.trunc(low[1 - along] + slope * step + 0.5);
  if (along === 0) return Math.min(across(x - low[0]), across(x + 1 - low[0]));
  const passed = slope > 0 ? (step: number) => across(step) > x : (step: number) => across(step) <= x;
  return low[1] + firstThat(passed, height) - 1;
}

/** The first step that has passed; all behind it have. */
function firstThat(passed: (step: number) => boolean, last: number): number {
  let [before, after] = [0, last];
  while (after - before > 1) {
    const half = (before + after) >> 1;
    if (passed(half)) after = half;
    else before = half;
  }
  return after;
}

/** Runs between sorted places at which sides change. */
function runsBetween(places: readonly number[], { width, height }: Size): number[] {
  const ends = places.at(-1) === width * height ? places : [...places, width * height];
  return ends.map((place, i) => place - (i === 0 ? 0 : ends[i - 1]));
}
