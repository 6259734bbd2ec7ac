import type { Planes } from './image.js';

/** Levels and colours that a message lists. */
const LISTED = 8;

const WAY_OUT = 'way out: store the object as 255, all else as 0';

/**
 * Why the levels of a picture say nothing about one object: numbers or colours of labels, levels of 0 to 1, a mask in
 * the alpha channel. Soft edges, votes of annotators (equal steps up to 255) and the noise of JPEG are levels of a mask.
 *
 * @param gray its levels, [height × width], 0 to 255.
 * @param threshold levels over it are the object.
 * @returns `expected …; got …; way out: …`, or undefined if it may be a mask.
 */
export function maskFault(planes: Planes, gray: Uint8Array, threshold: 127 | 128): string | undefined {
  const fault = pictureFault(planes, gray);
  if (fault !== undefined) return fault;
  const levels = levelList(planes.levels ?? gray);
  const [low, high] = range(gray);
  if (high > 0 && high <= threshold)
    return `expected object pixels over ${threshold}; got levels ${levels}; ${WAY_OUT}`;
  if (low > threshold && high - low > 16)
    return `expected pixels that are not the object; got levels ${levels}, all over ${threshold}; ${WAY_OUT}`;
  return isLabels(planes, gray) ? `expected levels of one object; got ${levels}, as of labels; ${WAY_OUT}` : undefined;
}

/**
 * As `maskFault`, for a prediction: any levels are confidences, if they are gray.
 *
 * @param hard whether it is cut at one half. Levels below 16 are then numbers, not confidences.
 */
export function confidenceFault(planes: Planes, gray: Uint8Array, hard: boolean): string | undefined {
  const fault = pictureFault(planes, gray);
  const [, high] = range(gray);
  return fault === undefined && hard && high > 0 && high < 16 ? maskFault(planes, gray, 128) : fault;
}

/** Why a picture has no gray levels of 0 to 255. */
function pictureFault(planes: Planes, gray: Uint8Array): string | undefined {
  const { levels, alpha } = planes;
  if (levels && !levels.every(Number.isFinite))
    return `expected levels of 0 to 255; got some that are no numbers; ${WAY_OUT}`;
  if (levels && isFraction(levels)) return `expected levels of 0 to 255; got ${levelList(levels)}; ${WAY_OUT}`;
  const colours = labelColours(planes);
  if (colours.length > 0)
    return `expected gray levels of one object; got the colours ${listed(colours)}, as of labels; ${WAY_OUT}`;
  const [low, high] = range(gray);
  if (!alpha || low !== high) return undefined;
  const [clear, opaque] = range(alpha);
  return clear === opaque
    ? undefined
    : `expected the mask in its gray levels; got ${low} everywhere, and ${clear} to ${opaque} as alpha; ${WAY_OUT}`;
}

function range(levels: Uint8Array): [low: number, high: number] {
  let [low, high] = [255, 0];
  for (const level of levels) {
    if (level < low) low = level;
    if (level > high) high = level;
  }
  return [low, high];
}

/** Levels of 0 to 1 with some between. */
function isFraction(levels: Float32Array): boolean {
  return levels.every((level) => level >= 0 && level <= 1) && levels.some((level) => !Number.isInteger(level));
}

/**
 * Few levels of whole areas with hard borders, of which three or more are not equal steps up to 255; or small numbers
 * beside 255 alone, which is how an area without a label is stored.
 */
function isLabels({ image: { width } }: Planes, gray: Uint8Array): boolean {
  const areas = areasOf(gray, width, 256);
  const present = levelsWhere(areas.pixels, (pixels) => pixels > 0);
  const numbers = present.filter((level) => level < 255);
  if (numbers.length > 1 && numbers.every((level) => level <= 32)) return present.includes(255);
  const flat = levelsWhere(areas.inner, (inner) => inner > 0);
  const flatPixels = flat.reduce((sum, level) => sum + areas.pixels[level], 0);
  const hard = gray.length - flatPixels <= 0.002 * gray.length;
  return hard && flat.length > 2 && !areEqualSteps(flat);
}

const MOST_STEPS = 20;

function areEqualSteps(levels: readonly number[]): boolean {
  return Array.from({ length: MOST_STEPS - 1 }, (_, i) => 255 / (i + 2)).some((step) =>
    levels.every((level) => Math.abs(level - Math.round(level / step) * step) <= 1),
  );
}

/** Colours of areas, where there are three or more and some are no gray. */
function labelColours({ image: { width, data } }: Planes): string[] {
  const packed = new Uint16Array(data.length / 3);
  let coloured = 0;
  for (let i = 0, p = 0; i < packed.length; i++, p += 3) {
    const [r, g, b] = [data[p], data[p + 1], data[p + 2]];
    if (Math.max(r, g, b) - Math.min(r, g, b) > 48) coloured++;
    packed[i] = ((r >> 3) << 10) | ((g >> 3) << 5) | (b >> 3);
  }
  if (coloured <= 0.001 * packed.length) return [];
  const { pixels, inner } = areasOf(packed, width, 32_768);
  const areas = levelsWhere(inner, (count, bin) => count > 0 && pixels[bin] >= 0.002 * packed.length);
  if (areas.length < 3) return [];
  return areas.map((bin) => {
    const at = packed.indexOf(bin) * 3;
    return `#${Buffer.from(data.subarray(at, at + 3)).toString('hex')}`;
  });
}

/** Of each value its pixels, and those of them whose four neighbours have it too. */
function areasOf(values: Uint8Array | Uint16Array, width: number, bins: number) {
  const [pixels, inner] = [new Uint32Array(bins), new Uint32Array(bins)];
  for (let i = 0, x = 0; i < values.length; i++, x = x + 1 === width ? 0 : x + 1) {
    const value = values[i];
    pixels[value]++;
    if (x > 0 && x + 1 < width && i >= width && i + width < values.length)
      if (
        values[i - 1] === value &&
        values[i + 1] === value &&
        values[i - width] === value &&
        values[i + width] === value
      )
        inner[value]++;
  }
  return { pixels, inner };
}

function levelsWhere(counts: Uint32Array, holds: (count: number, level: number) => boolean): number[] {
  return Array.from(counts.keys()).filter((level) => holds(counts[level], level));
}

function levelList(levels: ArrayLike<number>): string {
  const distinct = new Set<number>();
  for (let i = 0; i < levels.length && distinct.size <= 256; i++) distinct.add(levels[i]);
  return listed([...distinct].toSorted((a, b) => a - b).map((level) => String(Number(level.toFixed(3)))));
}

/** The first few and the last. */
function listed(values: readonly string[]): string {
  return values.length <= LISTED ? values.join(', ') : `${values.slice(0, LISTED - 1).join(', ')} … ${values.at(-1)}`;
}
