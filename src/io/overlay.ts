import { DataError } from '../errors.js';
import type { Box, Image, Mask, Prompt, Size } from '../records.js';
import { encodePng } from './image.js';
import { decodeMask } from './mask-bits.js';

/** What is drawn over an image; each in its own frame, which is stretched to the image. */
export interface Marks {
  readonly prompt?: Prompt;
  /** Tinted and outlined. */
  readonly mask?: Mask;
  /** Outlined only, yellow. */
  readonly truth?: Mask;
}

type Colour = readonly [number, number, number];

/** How a mask is drawn; all in blue by default. */
export interface Ink {
  readonly fill: Colour;
  readonly contour: Colour;
}

/** Violet with a cyan contour, as in the figures of Seg-R1, arXiv:2506.22624. */
export const FIGURE_INK: Ink = { fill: [148, 60, 230], contour: [0, 230, 255] };

const BLUE: Colour = [30, 120, 255];
const YELLOW: Colour = [255, 215, 0];
const ORANGE: Colour = [255, 140, 0];
const GREEN: Colour = [0, 200, 70];
const RED: Colour = [230, 30, 40];
const WHITE: Colour = [255, 255, 255];
const TINT = 0.35;

/** PNG of an image with its marks drawn over it: see `drawMarks`. */
export function overlay(image: Image, marks: Marks, ink?: Ink): Promise<Buffer> {
  return encodePng(drawMarks(image, marks, ink));
}

/**
 * A copy of an image with the mask tinted and outlined, the ground truth outlined, boxes orange, points green
 * (foreground) and red.
 */
export function drawMarks(
  image: Image,
  { prompt, mask, truth }: Marks,
  { fill: inside, contour }: Ink = { fill: BLUE, contour: BLUE },
): Image {
  const canvas: Image = { ...image, data: image.data.slice() };
  const line = Math.max(1, Math.round(Math.min(image.width, image.height) / 250));
  if (mask) {
    const bits = stretched(mask, image);
    tint(canvas, bits, inside);
    outline(canvas, bits, line, contour);
  }
  if (truth) outline(canvas, stretched(truth, image), line, YELLOW);
  for (const { box } of prompt?.objects ?? [])
    if (box && prompt) frameBox(canvas, placedBox(box, prompt.frame, image), line, ORANGE);
  for (const { points } of prompt?.objects ?? []) {
    for (const point of points) {
      const x = placed(point.x, prompt?.frame.width ?? image.width, image.width);
      const y = placed(point.y, prompt?.frame.height ?? image.height, image.height);
      disc(canvas, x, y, 2 * line + 1, WHITE);
      disc(canvas, x, y, 2 * line, point.label === 1 ? GREEN : RED);
    }
  }
  return canvas;
}

/**
 * Images of one height side by side, `gap` white pixels between them.
 *
 * @throws {DataError} if the heights differ.
 */
export function panels(images: readonly Image[], gap = 4): Image {
  const height = images[0]?.height ?? 0;
  const other = images.find((image) => image.height !== height);
  if (other) throw new DataError(`panels  height: expected ${height} pixels as in the first; got ${other.height}`);

  const width = images.reduce((sum, image) => sum + image.width, 0) + gap * Math.max(0, images.length - 1);
  const data = new Uint8Array(width * height * 3).fill(255);
  let left = 0;
  for (const image of images) {
    for (let y = 0; y < height; y++) {
      data.set(image.data.subarray(y * image.width * 3, (y + 1) * image.width * 3), (y * width + left) * 3);
    }
    left += image.width + gap;
  }
  return { width, height, data };
}

/** Bits of a mask at another size, by nearest neighbour. */
function stretched(mask: Mask, to: Size): Uint8Array {
  const bits = decodeMask(mask);
  if (mask.width === to.width && mask.height === to.height) return bits;
  const out = new Uint8Array(to.width * to.height);
  for (let y = 0, o = 0; y < to.height; y++) {
    const row = Math.floor(((y + 0.5) * mask.height) / to.height) * mask.width;
    for (let x = 0; x < to.width; x++, o++) out[o] = bits[row + Math.floor(((x + 0.5) * mask.width) / to.width)];
  }
  return out;
}

/** The pixel of a stretched axis that contains the middle of pixel `at`. */
function placed(at: number, from: number, to: number): number {
  return Math.floor(((at + 0.5) * to) / from);
}

function placedBox(box: Box, frame: Size, image: Size): Box {
  const xs = [box[0], box[2]].map((x) => placed(x, frame.width, image.width)).toSorted((a, b) => a - b) as [
    number,
    number,
  ];
  const ys = [box[1], box[3]].map((y) => placed(y, frame.height, image.height)).toSorted((a, b) => a - b) as [
    number,
    number,
  ];
  return [xs[0], ys[0], xs[1], ys[1]];
}

function tint(canvas: Image, bits: Uint8Array, colour: Colour): void {
  for (let i = 0, p = 0; i < bits.length; i++, p += 3) {
    if (bits[i] === 0) continue;
    for (let c = 0; c < 3; c++) canvas.data[p + c] = Math.round(canvas.data[p + c] * (1 - TINT) + colour[c] * TINT);
  }
}

/** Foreground pixels with a neighbour outside, left, right, above or below; the image's own edge is outside. */
function outline(canvas: Image, bits: Uint8Array, line: number, colour: Colour): void {
  const { width, height } = canvas;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (bits[i] === 0) continue;
      const inner =
        x > 0 &&
        bits[i - 1] &&
        x < width - 1 &&
        bits[i + 1] &&
        y > 0 &&
        bits[i - width] &&
        y < height - 1 &&
        bits[i + width];
      if (!inner) fill(canvas, [x, y, x + line - 1, y + line - 1], colour);
    }
  }
}

function frameBox(canvas: Image, [x1, y1, x2, y2]: Box, line: number, colour: Colour): void {
  const more = line - 1;
  fill(canvas, [x1, y1, x2, y1 + more], colour);
  fill(canvas, [x1, y2 - more, x2, y2], colour);
  fill(canvas, [x1, y1, x1 + more, y2], colour);
  fill(canvas, [x2 - more, y1, x2, y2], colour);
}

/** Paints inclusive pixels; those outside the canvas are ignored. */
function fill(canvas: Image, [x1, y1, x2, y2]: Box, colour: Colour): void {
  const right = Math.min(canvas.width - 1, x2);
  const bottom = Math.min(canvas.height - 1, y2);
  for (let y = Math.max(0, y1); y <= bottom; y++) {
    for (let x = Math.max(0, x1); x <= right; x++) canvas.data.set(colour, (y * canvas.width + x) * 3);
  }
}

function disc(canvas: Image, x: number, y: number, radius: number, colour: Colour): void {
  for (let dy = -radius; dy <= radius; dy++) {
    const reach = Math.floor(Math.sqrt(radius * radius - dy * dy));
    fill(canvas, [x - reach, y + dy, x + reach, y + dy], colour);
  }
}
