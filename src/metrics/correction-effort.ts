import type { Size } from '../records.js';
import { contours, type Contour } from './contours.js';
import { grown, inverted, shrunk } from './cross.js';
import { parts } from './parts.js';
import { pointsLeft } from './polyline.js';
import { skeleton } from './skeleton.js';

/** Pixels of error along a border that nobody would correct. */
const RELAX = 5;
const TOLERANCE = 2;

/**
 * HCE: how many points a person sets to correct a prediction: the corners of what must be cut off or added, and a click
 * for each region that stands alone. It takes several times as long as all other metrics together.
 *
 * @param predicted [height × width], 0 or 1; so is `truth`.
 * @throws {RangeError} if a length is not that of `size`.
 * @see Qin et al., Highly accurate dichotomous image segmentation, ECCV 2022, arXiv:2203.03041.
 */
export function correctionEffort(predicted: Uint8Array, truth: Uint8Array, size: Size): number {
  const pixels = size.width * size.height;
  if (predicted.length !== pixels || truth.length !== pixels) {
    throw new RangeError(`correction effort: expected ${size.width}x${size.height} = ${pixels} values; got ${predicted.length} and ${truth.length}`);
  }
  const hit = truth.map((t, i) => t & predicted[i]);
  const wrong = predicted.map((p, i) => p & (1 - truth[i]));
  const missed = truth.map((t, i) => t & (1 - predicted[i]));
  const lines = skeleton(truth, size);
  const deep = times(RELAX, truth.map((t, i) => t | predicted[i]), (bits) => shrunk(bits, size));

  const cut = regrown(wrong, deep, truth, size);
  const added = regrown(missed, deep, predicted, size).map((m, i) => m | (lines[i] & missed[i]));
  const settled = hit.map((h, i) => h | added[i]);
  return effort(cut, settled, size) + effort(added, inverted(settled.map((s, i) => s | cut[i])), size);
}

/** Those errors that reach deep, with what lies around them within RELAX pixels, round what is in `wall`. */
function regrown(errors: Uint8Array, deep: Uint8Array, wall: Uint8Array, size: Size): Uint8Array {
  const seeds = errors.map((e, i) => e & deep[i]);
  const reached = times(RELAX, seeds, (bits) => grown(bits, size).map((g, i) => g & (1 - wall[i])));
  return reached.map((r, i) => r & errors[i]);
}

/** Corners of the borders that lie along `beside`, and one for each part of the region that nowhere does. */
function effort(region: Uint8Array, beside: Uint8Array, size: Size): number {
  const labels = parts(region, size);
  const alone = new Set(labels.filter((label) => label > 0));
  const wanted = grown(beside, size);
  let points = 0;
  for (const contour of contours(region, size)) {
    for (const stretch of stretches(contour, wanted, size.width)) {
      for (const i of stretch) alone.delete(labels[i]);
      points += pointsLeft(stretch.map((i) => [i % size.width, Math.floor(i / size.width)] as const), TOLERANCE);
    }
  }
  return points + alone.size;
}

/** Cuts a border into the stretches of wanted pixels, each of which is taken once and no longer wanted then. */
function stretches(contour: Contour, wanted: Uint8Array, width: number): number[][] {
  const found: number[][] = [];
  let open = false;
  for (const i of contour) {
    if (wanted[i] === 1) {
      if (open) found.at(-1)?.push(i);
      else found.push([i]);
      wanted[i] = 0;
      open = true;
    } else {
      open = false;
    }
  }
  return found.length > 1 ? joined(found, width) : found;
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

function times(count: number, bits: Uint8Array, change: (bits: Uint8Array) => Uint8Array): Uint8Array {
  return count === 0 ? bits : times(count - 1, change(bits), change);
}
