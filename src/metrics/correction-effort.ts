import type { Size } from '../records.js';
import {
  difference,
  grown,
  has,
  intersection,
  inverted,
  packed,
  remove,
  shrunk,
  union,
  unpacked,
  type Bitmap,
} from './bitmap.js';
import { contours, type Contour } from './contours.js';
import { pointsLeft } from './polyline.js';
import { skeleton } from './skeleton.js';

/** Pixels of error along a border that nobody would correct. */
const RELAX = 5;
const TOLERANCE = 2;

/**
 * HCE: how many points a person sets to correct a prediction: the corners of what must be cut off or added, and a click
 * for each region that stands alone.
 *
 * @param predicted [height × width], 0 or 1; so is `truth`.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Qin et al., Highly accurate dichotomous image segmentation, ECCV 2022, arXiv:2203.03041.
 */
export function correctionEffort(predicted: Uint8Array, truth: Uint8Array, size: Size): number {
  const pixels = size.width * size.height;
  if (predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(
      `correction effort: expected ${size.width}x${size.height} = ${pixels} values; got ${predicted.length} and ${truth.length}`,
    );
  }
  const [p, t] = [packed(predicted, size), packed(truth, size)];
  const wrong = difference(p, t);
  const missed = difference(t, p);
  const lines = packed(skeleton(truth, size), size);
  const deep = times(RELAX, union(t, p), shrunk);

  const cut = regrown(wrong, deep, t);
  const added = union(regrown(missed, deep, p), intersection(lines, missed));
  const settled = union(intersection(t, p), added);
  return effort(cut, settled) + effort(added, inverted(union(settled, cut)));
}

/** Those errors that reach deep, with what lies around them within RELAX pixels, round what is in `wall`. */
function regrown(errors: Bitmap, deep: Bitmap, wall: Bitmap): Bitmap {
  return intersection(
    times(RELAX, intersection(errors, deep), (map) => difference(grown(map), wall)),
    errors,
  );
}

/** Corners of the borders that lie along `beside`, and one for each part of the region that nowhere does. */
function effort(region: Bitmap, beside: Bitmap): number {
  const wanted = grown(beside);
  const all = new Set<number>();
  const touched = new Set<number>();
  let points = 0;
  for (const contour of contours(unpacked(region), region)) {
    all.add(contour.part);
    for (const stretch of stretches(contour, wanted)) {
      touched.add(contour.part);
      points += pointsLeft(
        stretch.map((i) => [i % region.width, Math.floor(i / region.width)] as const),
        TOLERANCE,
      );
    }
  }
  return points + all.size - touched.size;
}

/** Cuts a border into the stretches of wanted pixels, each of which is taken once and no longer wanted then. */
function stretches({ points }: Contour, wanted: Bitmap): number[][] {
  const found: number[][] = [];
  let open = false;
  for (const i of points) {
    if (has(wanted, i)) {
      if (open) found.at(-1)?.push(i);
      else found.push([i]);
      remove(wanted, i);
      open = true;
    } else {
      open = false;
    }
  }
  return found.length > 1 ? joined(found, wanted.width) : found;
}

/** Where the border's end meets its start, the first stretch is put after the last, backwards as the authors put it. */
function joined(found: readonly number[][], width: number): number[][] {
  const [first, ...rest] = found;
  const last = rest.at(-1) ?? [];
  const [head, tail] = [first[0], last.at(-1) ?? 0];
  const across = Math.abs((head % width) - (tail % width));
  const down = Math.abs(Math.floor(head / width) - Math.floor(tail / width));
  return Math.max(across, down) === 1 ? [...rest.slice(0, -1), [...last, ...first.toReversed()]] : [...found];
}

function times(count: number, map: Bitmap, change: (map: Bitmap) => Bitmap): Bitmap {
  return count === 0 ? map : times(count - 1, change(map), change);
}
