import type { Image, Size } from '../records.js';

export type Filter = 'bilinear' | 'bicubic';

/**
 * `pillow`: vertical first where the width grows and the height shrinks; `horizontal-first`: always so, as torchvision
 * does;
 * `torchvision`: also with weights of 16 bits, as it does with bytes, which moves a pixel by a level now and then.
 */
export type PassOrder = 'pillow' | 'horizontal-first' | 'torchvision';

/** Which inputs make one output along an axis, and with what weight. */
interface Windows {
  /** First input of each output, [out]. */
  readonly starts: Int32Array;
  /** Inputs of each output, [out]. */
  readonly counts: Int32Array;
  /** [out × taps], in parts of 2 to the power of `fraction`. */
  readonly weights: Int32Array;
  readonly fraction: number;
  readonly taps: number;
}

const MOST_FRACTION = 22;

const supports = { bilinear: 1, bicubic: 2 } as const;

/**
 * Resamples RGB pixels as Pillow does, bit for bit: antialiased, two passes with bytes in between.
 *
 * @returns an image of `size`; the same object where nothing changes.
 * @throws {RangeError} if a side of `size` is under 1.
 * @see Pillow, `Image.resize`; the order of the passes alone is worth up to 22 levels.
 */
export function resize(image: Image, size: Size, filter: Filter = 'bilinear', order: PassOrder = 'pillow'): Image {
  if (image.width === size.width && image.height === size.height) return image;
  return { width: size.width, height: size.height, data: resample(image.data, 3, image, size, filter, order) };
}

/** As `resize`, for one channel: `data` [from.height × from.width] becomes [to.height × to.width]. */
export function resizeGray(
  data: Uint8Array,
  from: Size,
  to: Size,
  filter: Filter = 'bilinear',
  order: PassOrder = 'pillow',
): Uint8Array {
  return resample(data, 1, from, to, filter, order);
}

function resample(
  data: Uint8Array,
  channels: 1 | 3,
  from: Size,
  to: Size,
  filter: Filter,
  order: PassOrder,
): Uint8Array {
  if (!(to.width >= 1 && to.height >= 1))
    throw new RangeError(`resize: expected sides of at least 1; got ${to.width}x${to.height}`);
  if (data.length !== from.width * from.height * channels) {
    throw new RangeError(
      `resize: expected ${from.width * from.height * channels} bytes for ${from.width}x${from.height}; got ${data.length}`,
    );
  }

  const short = order === 'torchvision';
  const alongRow = channels === 3 ? acrossRgb : acrossGray;
  const across = (pixels: Uint8Array, height: number): Uint8Array =>
    from.width === to.width
      ? pixels
      : alongRow(pixels, from.width, height, windows(from.width, to.width, filter, short));
  const down = (pixels: Uint8Array, width: number): Uint8Array =>
    from.height === to.height
      ? pixels
      : downRows(pixels, width * channels, windows(from.height, to.height, filter, short));

  const verticalFirst = order === 'pillow' && to.width > from.width && to.height < from.height;
  return verticalFirst ? across(down(data, from.width), to.height) : down(across(data, from.height), to.width);
}

function acrossRgb(
  data: Uint8Array,
  width: number,
  height: number,
  { starts, counts, weights, fraction, taps }: Windows,
): Uint8Array {
  const wide = starts.length;
  const half = 1 << (fraction - 1);
  const out = new Uint8ClampedArray(wide * height * 3);
  for (let y = 0, o = 0; y < height; y++) {
    const row = y * width * 3;
    for (let x = 0; x < wide; x++, o += 3) {
      let r = half;
      let g = half;
      let b = half;
      const first = x * taps;
      const last = first + counts[x];
      for (let k = first, p = row + starts[x] * 3; k < last; k++, p += 3) {
        const weight = weights[k];
        r = (r + Math.imul(weight, data[p])) | 0;
        g = (g + Math.imul(weight, data[p + 1])) | 0;
        b = (b + Math.imul(weight, data[p + 2])) | 0;
      }
      out[o] = r >> fraction;
      out[o + 1] = g >> fraction;
      out[o + 2] = b >> fraction;
    }
  }
  return new Uint8Array(out.buffer);
}

function acrossGray(
  data: Uint8Array,
  width: number,
  height: number,
  { starts, counts, weights, fraction, taps }: Windows,
): Uint8Array {
  const wide = starts.length;
  const half = 1 << (fraction - 1);
  const out = new Uint8ClampedArray(wide * height);
  for (let y = 0, o = 0; y < height; y++) {
    for (let x = 0; x < wide; x++, o++) {
      let sum = half;
      const first = x * taps;
      const last = first + counts[x];
      for (let k = first, p = y * width + starts[x]; k < last; k++, p++)
        sum = (sum + Math.imul(weights[k], data[p])) | 0;
      out[o] = sum >> fraction;
    }
  }
  return new Uint8Array(out.buffer);
}

/** Whole rows at a time: all bytes of a row have the same weights. */
function downRows(data: Uint8Array, row: number, { starts, counts, weights, fraction, taps }: Windows): Uint8Array {
  const tall = starts.length;
  const half = 1 << (fraction - 1);
  const out = new Uint8ClampedArray(row * tall);
  const sums = new Int32Array(row);
  for (let y = 0; y < tall; y++) {
    sums.fill(half);
    for (let k = 0; k < counts[y]; k++) {
      const weight = weights[y * taps + k];
      const base = (starts[y] + k) * row;
      for (let i = 0; i < row; i++) sums[i] = (sums[i] + Math.imul(weight, data[base + i])) | 0;
    }
    for (let i = 0, o = y * row; i < row; i++, o++) out[o] = sums[i] >> fraction;
  }
  return new Uint8Array(out.buffer);
}

const tables = new Map<string, Windows>();
const TABLES_KEPT = 256;

/** Windows from `size` inputs to `wanted` outputs; the latest tables are cached, since a data set repeats its sizes. */
function windows(size: number, wanted: number, filter: Filter, short: boolean): Windows {
  const key = `${filter} ${size} ${wanted} ${short}`;
  const known = tables.get(key);
  if (known) return known;

  const made = computeWindows(size, wanted, filter, short);
  if (tables.size >= TABLES_KEPT) tables.delete(tables.keys().next().value as string);
  tables.set(key, made);
  return made;
}

function computeWindows(size: number, wanted: number, filter: Filter, short: boolean): Windows {
  const scale = size / wanted;
  const spread = Math.max(scale, 1);
  const support = supports[filter] * spread;
  const taps = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(wanted);
  const counts = new Int32Array(wanted);
  const shares = new Float64Array(wanted * taps);

  for (let x = 0; x < wanted; x++) {
    const centre = (x + 0.5) * scale;
    const low = Math.max(0, Math.trunc(centre - support + 0.5));
    const high = Math.min(size, Math.trunc(centre + support + 0.5));
    // Multiplied by the reciprocal and summed in this order: other roundings move single weights by one.
    const step = 1 / spread;
    const parts = Array.from({ length: high - low }, (_, i) => kernel((i + low - centre + 0.5) * step, filter));
    const total = parts.reduce((sum, part) => sum + part, 0);
    starts[x] = low;
    counts[x] = high - low;
    parts.forEach((part, i) => (shares[x * taps + i] = total === 0 ? part : part / total));
  }
  const fraction = short ? shortFraction(shares.reduce((a, b) => Math.max(a, b), 0)) : MOST_FRACTION;
  const weights = Int32Array.from(shares, (share) => share * (1 << fraction) + (share < 0 ? -0.5 : 0.5));
  return { starts, counts, weights, fraction, taps };
}

/** As many fractional bits as leave the largest weight within 16. */
function shortFraction(largest: number): number {
  let fraction = 0;
  while (fraction < MOST_FRACTION && Math.trunc(0.5 + largest * 2 ** (fraction + 1)) < 1 << 15) fraction++;
  return fraction;
}

function kernel(x: number, filter: Filter): number {
  const t = Math.abs(x);
  if (filter === 'bilinear') return t < 1 ? 1 - t : 0;
  const a = -0.5;
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * a : 0;
}
