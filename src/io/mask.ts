import { DataError } from '../errors.js';
import type { Box, Mask, Size } from '../records.js';

export { fromCocoString, toCocoString } from './coco-string.js';
export { encodeMaskPng, readMaskFile, writeMaskPng } from './mask-file.js';
export { decodeMask, encodeMask } from './mask-bits.js';

/** A mask of `size` with nothing in it. */
export function emptyMask(size: Size): Mask {
  return { width: size.width, height: size.height, counts: [size.width * size.height] };
}

/** Foreground pixels. */
export function maskArea(mask: Mask): number {
  let area = 0;
  for (let i = 1; i < mask.counts.length; i += 2) area += mask.counts[i];
  return area;
}

/**
 * Pixels in both.
 *
 * @throws {DataError} if the masks differ in size.
 */
export function intersectionArea(a: Mask, b: Mask): number {
  let area = 0;
  sweep(a, b, (run, inA, inB) => {
    if (inA && inB) area += run;
  });
  return area;
}

/**
 * Intersection over union in [0, 1]; 0 where both are empty, as Seg-R1's reward has it.
 *
 * @throws {DataError} if the masks differ in size.
 */
export function maskIou(a: Mask, b: Mask): number {
  const both = intersectionArea(a, b);
  const either = maskArea(a) + maskArea(b) - both;
  return either === 0 ? 0 : both / either;
}

/**
 * Pixels in any of at least one mask.
 *
 * @throws {DataError} if the masks differ in size.
 */
export function unionMasks(masks: readonly Mask[]): Mask {
  const [first, ...others] = masks;
  if (!first) throw new RangeError('union of masks: expected at least one mask; got none');
  for (const other of others) refuseOtherSize(first, other);
  if (others.length === 0) return first;
  const joined: [from: number, to: number][] = [];
  for (const [from, to] of masks.flatMap(foregroundRuns).toSorted((a, b) => a[0] - b[0])) {
    const last = joined.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  const counts = joined.flatMap(([from, to], i) => [from - (joined[i - 1]?.[1] ?? 0), to - from]);
  const rest = first.width * first.height - (joined.at(-1)?.[1] ?? 0);
  if (rest > 0 || counts.length === 0) counts.push(rest);
  return { width: first.width, height: first.height, counts };
}

/**
 * Pixels of `mask` that are not in `other`.
 *
 * @throws {DataError} if the masks differ in size.
 */
export function subtractMask(mask: Mask, other: Mask): Mask {
  return merged(mask, other, (inMask, inOther) => inMask && !inOther);
}

/** Smallest box around the foreground, inclusive pixels of the mask's own size; undefined where there is none. */
export function boxOfMask(mask: Mask): Box | undefined {
  const { counts, height } = mask;
  let [x1, y1, x2, y2] = [Infinity, Infinity, -1, -1];
  let start = counts[0] ?? 0;
  for (let i = 1; i < counts.length; start += counts[i] + (counts[i + 1] ?? 0), i += 2) {
    if (counts[i] === 0) continue;
    const end = start + counts[i] - 1;
    const columns = [Math.floor(start / height), Math.floor(end / height)] as const;
    const oneColumn = columns[0] === columns[1];
    x1 = Math.min(x1, columns[0]);
    x2 = Math.max(x2, columns[1]);
    y1 = Math.min(y1, oneColumn ? start % height : 0);
    y2 = Math.max(y2, oneColumn ? end % height : height - 1);
  }
  return x2 < 0 ? undefined : [x1, y1, x2, y2];
}

/** Where runs of foreground begin and end, in the order of pixels; none is empty. */
function foregroundRuns({ counts }: Mask): [from: number, to: number][] {
  const runs: [number, number][] = [];
  for (let i = 0, at = 0; i < counts.length; at += counts[i++])
    if (i % 2 === 1 && counts[i] > 0) runs.push([at, at + counts[i]]);
  return runs;
}

function merged(a: Mask, b: Mask, keep: (inA: boolean, inB: boolean) => boolean): Mask {
  const counts: number[] = [];
  let run = 0;
  let inside = false;
  sweep(a, b, (length, inA, inB) => {
    if (keep(inA, inB) !== inside) {
      counts.push(run);
      run = 0;
      inside = !inside;
    }
    run += length;
  });
  counts.push(run);
  return { width: a.width, height: a.height, counts };
}

/** Walks two masks together, in stretches where neither changes; no stretch is empty. */
function sweep(a: Mask, b: Mask, visit: (run: number, inA: boolean, inB: boolean) => void): void {
  refuseOtherSize(a, b);
  let [i, j] = [0, 0];
  let [restA, restB] = [a.counts[0] ?? 0, b.counts[0] ?? 0];
  for (;;) {
    while (restA === 0 && i + 1 < a.counts.length) restA = a.counts[++i];
    while (restB === 0 && j + 1 < b.counts.length) restB = b.counts[++j];
    const run = Math.min(restA, restB);
    if (run === 0) return;
    visit(run, i % 2 === 1, j % 2 === 1);
    restA -= run;
    restB -= run;
  }
}

function refuseOtherSize(a: Mask, b: Mask): void {
  if (a.width === b.width && a.height === b.height) return;
  throw new DataError(
    `mask  size: expected two masks of one size; got ${a.width}x${a.height} and ${b.width}x${b.height}`,
  );
}
