import { readFileSync } from 'node:fs';

import { z } from 'zod';

import { DataError, messageOf, shown } from '../errors.js';
import type { Mask, Size } from '../records.js';
import { encodeMask } from './mask-bits.js';
import { fillPolygon } from './polygon-fill.js';
import { parseJson } from './text.js';

const Shape = z.object({ label: z.string(), points: z.array(z.tuple([z.number(), z.number()])) });
const Annotation = z.object({
  text: z.array(z.string()).min(1),
  /** Whether the texts are whole sentences, or name a thing. */
  is_sentence: z.boolean().default(true),
  shapes: z.array(Shape),
});

/** A ReasonSeg file about one image. */
export type ReasonAnnotation = z.output<typeof Annotation>;
export type ReasonShape = z.output<typeof Shape>;

/**
 * Reads one file of ReasonSeg: UTF-8, or cp1252 where it is not valid UTF-8.
 *
 * @throws {DataError} if it can't be read, or lacks texts or shapes.
 */
export function readReasonAnnotation(path: string): ReasonAnnotation {
  try {
    const annotation = Annotation.safeParse(parseJson(decoded(readFileSync(path))));
    if (annotation.success) return annotation.data;
    const [issue] = annotation.error.issues;
    throw new Error(`${issue?.path.join('.')}: ${issue?.message}`);
  } catch (error) {
    throw new DataError(
      `${path}  annotation: expected JSON with text, is_sentence and shapes; got ${messageOf(error)}`,
      { cause: error },
    );
  }
}

/**
 * Target and ignored region that shapes draw, by the rule of ReasonSeg: points cut to whole pixels, larger polygons
 * first, each with its outline and over earlier ones; a label with `ignore` in it is ignored, `flag` is skipped.
 *
 * @throws {DataError} for a shape without points, one that is beyond 100,000 px, or shapes that take minutes to draw.
 * @see LISA, arXiv:2308.00692.
 */
export function reasonMasks(shapes: readonly ReasonShape[], size: Size): { truth: Mask; ignore: Mask } {
  const pixels = shapes.length * size.width * size.height;
  const rows = shapes.reduce((sum, { points }) => sum + rowsPassed(points, size), 0);
  if (pixels > MOST_PIXELS || rows > MOST_ROWS)
    throw new DataError(
      `shapes: expected some that are drawn in seconds; got ${shapes.length} on ${size.width}x${size.height}`,
    );
  const raster = new Uint8Array(size.width * size.height);
  const drawn = shapes
    .filter(({ label }) => label.toLowerCase() !== 'flag')
    .map((shape) => {
      const points = wholePoints(shape);
      return { points, ignored: shape.label.toLowerCase().includes('ignore'), area: areaOf(points, size, raster) };
    });
  // Of equal areas the later shape comes first.
  for (const { points, ignored } of drawn.toReversed().toSorted((a, b) => b.area - a.area))
    fillPolygon(raster, size, points, ignored ? IGNORED : TARGET);
  return {
    truth: encodeMask(
      raster.map((value) => (value === TARGET ? 1 : 0)),
      size,
    ),
    ignore: encodeMask(
      raster.map((value) => (value === IGNORED ? 1 : 0)),
      size,
    ),
  };
}

const TARGET = 1;
const IGNORED = 2;
/** Most pixels under all shapes, and rows that their edges pass: some seconds of work. */
const [MOST_PIXELS, MOST_ROWS] = [2e9, 2e7];
/** Coordinates beyond this, px, are taken for damage. */
const FARTHEST = 1e5;

function rowsPassed(points: readonly (readonly [number, number])[], { height }: Size): number {
  const seen = (y: number): number => Math.min(Math.max(y, 0), height);
  return points.reduce((sum, [, y], i) => sum + Math.abs(seen(y) - seen(points.at(i - 1)![1])), 0);
}

/** @throws {DataError} as `reasonMasks`. */
function wholePoints({ label, points }: ReasonShape): [number, number][] {
  const wrong = points.flat().find((value) => !(Math.abs(value) <= FARTHEST));
  if (points.length === 0 || wrong !== undefined) {
    throw new DataError(
      `shape ${shown(label)}: expected points within ${FARTHEST} px; got ${points.length === 0 ? 'none' : wrong}`,
    );
  }
  return points.map(([x, y]) => [Math.trunc(x), Math.trunc(y)]);
}

/** Pixels of a polygon. @param empty to draw on; empty again afterwards. */
function areaOf(points: readonly (readonly [number, number])[], size: Size, empty: Uint8Array): number {
  const { width, height } = size;
  fillPolygon(empty, size, points, 1);
  const first = points.reduce((least, [, y]) => Math.min(least, y), height);
  const last = points.reduce((most, [, y]) => Math.max(most, y), -1);
  const painted = empty.subarray(Math.max(0, first) * width, (last + 1) * width);
  let area = 0;
  for (let i = 0; i < painted.length; i++) area += painted[i];
  painted.fill(0);
  return area;
}

/** Bytes 0x80 to 0x9f of cp1252; Node's own decoder takes them for control characters. */
const WESTERN = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (byte) =>
      byte >= 0x80 && byte < 0xa0 ? WESTERN.charAt(byte - 0x80) : String.fromCharCode(byte),
    ).join('');
  }
}
