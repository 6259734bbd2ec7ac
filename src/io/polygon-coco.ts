import { DataError, shown } from '../errors.js';
import type { Mask, Size } from '../records.js';

/** Each pixel is this many steps of the outline wide and high. */
const STEPS = 5;
/** Coordinates beyond this, px, are taken for damage. */
const FARTHEST = 1e5;

/**
 * The mask that pycocotools makes of one polygon, byte for byte: its outline is walked in fifths of a pixel, and where
 * it
 * passes the middle of a column, everything below changes sides.
 *
 * @param flat x, y, x, y … in pixels; at least three points. Parts outside `size` are cut off.
 * @throws {DataError} for fewer points, an odd number of coordinates, or one that is not a number within 100,000 px.
 */
export function maskOfPolygon(flat: readonly number[], size: Size): Mask {
  if (flat.length < 6 || flat.length % 2 !== 0)
    throw new DataError(`polygon: expected x and y of at least 3 points; got ${flat.length} numbers`);
  const wrong = flat.find((value) => typeof value !== 'number' || !(Math.abs(value) <= FARTHEST));
  if (wrong !== undefined)
    throw new DataError(`polygon: expected coordinates within ${FARTHEST} px; got ${shown(wrong)}`);

  const fine = flat.map((value) => Math.trunc(STEPS * value + 0.5));
  const crossings: number[] = [];
  let before: readonly [number, number] | undefined;
  for (let i = 0; i < fine.length; i += 2) {
    for (const point of edge([fine[i], fine[i + 1]], [fine[(i + 2) % fine.length], fine[(i + 3) % fine.length]])) {
      const crossing = before && crossed(before, point, size);
      if (crossing !== undefined) crossings.push(crossing);
      before = point;
    }
  }
  return {
    width: size.width,
    height: size.height,
    counts: runsBetween(
      crossings.toSorted((a, b) => a - b),
      size.width * size.height,
    ),
  };
}

/** Every step from `from` to `to`, both included, one a unit of the longer side; rounded as seen from the lower end. */
function* edge(from: readonly [number, number], to: readonly [number, number]): Generator<readonly [number, number]> {
  const [width, height] = [Math.abs(to[0] - from[0]), Math.abs(to[1] - from[1])];
  const along = width >= height ? 0 : 1;
  const turned = from[along] > to[along];
  const [low, high] = turned ? [to, from] : [from, to];
  const length = Math.max(width, height);
  const slope = length === 0 ? 0 : (high[1 - along] - low[1 - along]) / length;
  for (let i = 0; i <= length; i++) {
    const step = turned ? length - i : i;
    const across = Math.trunc(low[1 - along] + slope * step + 0.5);
    yield along === 0 ? [step + low[0], across] : [across, step + low[1]];
  }
}

/** Where, column by column, a step changes sides; undefined if it does not pass the middle of a column of pixels. */
function crossed(
  a: readonly [number, number],
  b: readonly [number, number],
  { width, height }: Size,
): number | undefined {
  if (a[0] === b[0]) return undefined;
  const column = ((b[0] < a[0] ? b[0] : b[0] - 1) + 0.5) / STEPS - 0.5;
  if (!Number.isInteger(column) || column < 0 || column > width - 1) return undefined;
  const row = (Math.min(a[1], b[1]) + 0.5) / STEPS - 0.5;
  return column * height + Math.ceil(Math.min(Math.max(row, 0), height));
}

/** Runs between sorted places at which sides change; two changes at one place are none. */
function runsBetween(places: readonly number[], pixels: number): number[] {
  const changes: number[] = [];
  for (const place of places) {
    if (changes.at(-1) === place) changes.pop();
    else changes.push(place);
  }
  if (changes.at(-1) !== pixels) changes.push(pixels);
  return changes.map((place, i) => place - (i === 0 ? 0 : changes[i - 1]));
}
