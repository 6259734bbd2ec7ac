import type { Size } from '../records.js';

/** Pixels of one connected part, by index, and how many there are. */
interface Part {
  readonly pixels: Int32Array;
  readonly area: number;
}

/**
 * Where a person would click to select the object: the pixel of the largest 4-connected part that lies farthest from
 * everything outside it.
 *
 * Outside the picture counts as outside the part; of equals the first in reading order is taken.
 *
 * @param bits [height × width], row by row, 0 or 1.
 * @returns the pixel, and the part's area in pixels; undefined when no bit is set.
 */
export function clickCentre(bits: Uint8Array, size: Size): { x: number; y: number; area: number } | undefined {
  const part = largestPart(bits, size);
  if (!part) return undefined;
  let [left, top, right, bottom] = [size.width, size.height, 0, 0];
  for (const pixel of part.pixels) {
    const x = pixel % size.width;
    const y = (pixel - x) / size.width;
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  // One pixel of margin on each side is always outside, which is what makes cropping exact.
  const window = { width: right - left + 3, height: bottom - top + 3 };
  const crop = new Uint8Array(window.width * window.height);
  for (const pixel of part.pixels) {
    const x = pixel % size.width;
    crop[((pixel - x) / size.width - top + 1) * window.width + x - left + 1] = 1;
  }
  const distance = squaredDistance(crop, window);
  let best = 0;
  for (let i = 1; i < distance.length; i++) if (distance[i] > distance[best]) best = i;
  const x = best % window.width;
  return { x: left + x - 1, y: top + (best - x) / window.width - 1, area: part.area };
}

/**
 * Squared Euclidean distance of each set pixel to the nearest that is not set, 0 where not set; outside the picture
 * nothing counts.
 *
 * @param bits [height × width], 0 or 1.
 * @see Felzenszwalb & Huttenlocher, Distance Transforms of Sampled Functions, 2012.
 */
export function squaredDistance(bits: Uint8Array, { width, height }: Size): Float64Array {
  const out = new Float64Array(width * height);
  const far = (width + height) ** 2;
  for (let x = 0; x < width; x++) {
    let run = far;
    for (let y = 0; y < height; y++) out[y * width + x] = run = bits[y * width + x] ? run + 1 : 0;
    run = far;
    for (let y = height - 1; y >= 0; y--) {
      run = bits[y * width + x] ? run + 1 : 0;
      out[y * width + x] = Math.min(out[y * width + x], run) ** 2;
    }
  }
  const line = new Float64Array(width);
  const hulls = { at: new Int32Array(width), from: new Float64Array(width + 1) };
  for (let y = 0; y < height; y++) {
    line.set(out.subarray(y * width, (y + 1) * width));
    lowerEnvelope(line, hulls, out.subarray(y * width, (y + 1) * width));
  }
  return out;
}

/** out[x] = min over q of (x - q)² + line[q]. */
function lowerEnvelope(
  line: Float64Array,
  { at, from }: { at: Int32Array; from: Float64Array },
  out: Float64Array,
): void {
  let last = 0;
  at[0] = 0;
  from[0] = -Infinity;
  for (let q = 1; q < line.length; q++) {
    let cross = crossing(line, at[last], q);
    while (cross <= from[last]) cross = crossing(line, at[--last], q);
    at[++last] = q;
    from[last] = cross;
  }
  from[last + 1] = Infinity;
  for (let x = 0, k = 0; x < line.length; x++) {
    while (from[k + 1] < x) k++;
    out[x] = (x - at[k]) ** 2 + line[at[k]];
  }
}

/** Where the parabolas rooted at a < b meet. */
function crossing(line: Float64Array, a: number, b: number): number {
  return (line[b] + b * b - line[a] - a * a) / (2 * (b - a));
}

function largestPart(bits: Uint8Array, size: Size): Part | undefined {
  const seen = new Uint8Array(bits.length);
  const queue = new Int32Array(bits.length);
  let end = 0;
  let best = { from: 0, area: 0 };
  for (let start = 0; start < bits.length; start++) {
    if (!bits[start] || seen[start]) continue;
    const from = end;
    end = flood(bits, seen, queue, from, start, size);
    if (end - from > best.area) best = { from, area: end - from };
  }
  return best.area === 0 ? undefined : { pixels: queue.subarray(best.from, best.from + best.area), area: best.area };
}

/** Writes the pixels connected to `start` into the queue from `from` on; returns where they end. */
function flood(
  bits: Uint8Array,
  seen: Uint8Array,
  queue: Int32Array,
  from: number,
  start: number,
  { width }: Size,
): number {
  let end = from;
  const visit = (pixel: number): void => {
    if (!bits[pixel] || seen[pixel]) return;
    seen[pixel] = 1;
    queue[end++] = pixel;
  };
  visit(start);
  for (let next = from; next < end; next++) {
    const pixel = queue[next];
    const x = pixel % width;
    if (x > 0) visit(pixel - 1);
    if (x < width - 1) visit(pixel + 1);
    visit(pixel - width);
    visit(pixel + width);
  }
  return end;
}
