import { workerData } from 'node:worker_threads';

import opencv from '@techstark/opencv-js';

import { messageOf } from '../../errors.js';
import { encodeMask } from '../../io/mask-bits.js';
import type { Box, Image, Mask, Prompt, PromptObject, Size } from '../../records.js';
import { serve } from '../../workers.js';

/** One image with all of its prompts; it is resized once. */
export interface CutJob {
  readonly image: Image;
  readonly prompts: readonly Prompt[];
  /** Size of the masks. */
  readonly frame: Size;
}

/** Options that change a mask. */
export interface CutSettings {
  /** Side of the square that is segmented, px. */
  readonly size: number;
  readonly iterations: number;
  /** Of a click's disc, as a fraction of the side. */
  readonly radius: number;
}

type OpenCV = typeof opencv;
type Pixels = InstanceType<OpenCV['Mat']>;

/** The four classes of a grabCut mask; the odd ones are object. */
const BACKGROUND = 0;
const FOREGROUND = 1;
const PERHAPS_FOREGROUND = 3;
/** Fewer background pixels than this describe no background. */
const LEAST_BACKGROUND = 8;

const settings = workerData as CutSettings;
// The build exports a promise of the module that its types declare.
const cv = await (opencv as unknown as Promise<OpenCV>);

serve<CutJob, Mask[]>(async (job) => ({ answer: answer(job) }));

/** Masks of one job, in order; OpenCV throws pointers, which become messages here. */
function answer({ image, prompts, frame }: CutJob): Mask[] {
  if (prompts.length === 0) return [];
  const { size } = settings;
  const stored = pixels(image);
  const working = new cv.Mat();
  try {
    if (image.width === size && image.height === size) stored.copyTo(working);
    else cv.resize(stored, working, new cv.Size(size, size), 0, 0, cv.INTER_AREA);
    return prompts.map((prompt) => encodeMask(stretched(cutAll(working, prompt), size, frame), frame));
  } catch (error) {
    throw new Error(typeof error === 'number' ? String(cv.exceptionFromPtr(error).msg) : messageOf(error));
  } finally {
    stored.delete();
    working.delete();
  }
}

function pixels({ width, height, data }: Image): Pixels {
  const mat = new cv.Mat(height, width, cv.CV_8UC3);
  mat.data.set(data);
  return mat;
}

/** The union over a prompt's objects, [size × size] of 0 and 1. */
function cutAll(image: Pixels, prompt: Prompt): Uint8Array {
  const union = new Uint8Array(image.rows * image.cols);
  for (const object of prompt.objects) {
    const trimap = trimapOf(object, prompt.frame);
    if (!trimap) continue;
    try {
      if (worthCutting(trimap.data)) cut(image, trimap);
      for (let i = 0; i < union.length; i++) union[i] |= trimap.data[i] & 1;
    } finally {
      trimap.delete();
    }
  }
  return union;
}

/**
 * The trimap: outside of the box is background, inside is possibly object, clicks are certain discs. Without a box the
 * image's outermost pixels are the background, if there is a foreground click.
 *
 * @returns undefined for a degenerate object: an empty box, or one under 2 px on a side.
 */
function trimapOf({ box, points, everyPoint }: PromptObject, frame: Size): Pixels | undefined {
  const { size, radius } = settings;
  const last = size - 1;
  const inFrame = clipped(box ?? [0, 0, frame.width - 1, frame.height - 1], frame);
  if (!inFrame || (!box && !points.some((point) => point.label === 1))) return undefined;

  const [left, top, right, bottom] = inFrame;
  const across = (x: number): number => Math.round((x * size) / frame.width);
  const down = (y: number): number => Math.round((y * size) / frame.height);
  const [x1, y1, x2, y2] = box
    ? [across(left), down(top), Math.min(last, across(right)), Math.min(last, down(bottom))]
    : [1, 1, last - 1, last - 1];
  if (x2 - x1 < 2 || y2 - y1 < 2) return undefined;

  const trimap: Pixels = new cv.Mat(size, size, cv.CV_8UC1, new cv.Scalar(BACKGROUND));
  cv.rectangle(trimap, new cv.Point(x1, y1), new cv.Point(x2, y2), new cv.Scalar(PERHAPS_FOREGROUND), cv.FILLED);
  const disc = Math.max(1, Math.round(radius * size));
  for (const { x, y, label } of points) {
    if (everyPoint !== true && (x < left || x > right || y < top || y > bottom)) continue;
    cv.circle(
      trimap,
      new cv.Point(across(x), down(y)),
      disc,
      new cv.Scalar(label === 1 ? FOREGROUND : BACKGROUND),
      cv.FILLED,
    );
  }
  return trimap;
}

/** A box with its corners in order and inside the frame; undefined if they share no pixel. */
function clipped([ax, ay, bx, by]: Box, { width, height }: Size): Box | undefined {
  const box = [
    Math.max(0, Math.min(ax, bx)),
    Math.max(0, Math.min(ay, by)),
    Math.min(width - 1, Math.max(ax, bx)),
    Math.min(height - 1, Math.max(ay, by)),
  ] as const;
  return box[0] <= box[2] && box[1] <= box[3] ? box : undefined;
}

/** Whether object and background both have pixels; else the trimap's object is the mask. */
function worthCutting(trimap: Uint8Array): boolean {
  let background = 0;
  for (const pixel of trimap) if (pixel === BACKGROUND) background++;
  return background >= LEAST_BACKGROUND && background < trimap.length;
}

function cut(image: Pixels, trimap: Pixels): void {
  const [behind, before] = [new cv.Mat(), new cv.Mat()];
  try {
    // The generator is shared by the thread: it is reseeded, so a mask depends only on its own prompt.
    cv.setRNGSeed(0);
    cv.grabCut(image, trimap, new cv.Rect(0, 0, 1, 1), behind, before, settings.iterations, cv.GC_INIT_WITH_MASK);
  } finally {
    behind.delete();
    before.delete();
  }
}

/** A [size × size] square at `frame` size, each pixel its nearest, [height × width]. */
function stretched(square: Uint8Array, size: number, { width, height }: Size): Uint8Array {
  const columns = Int32Array.from({ length: width }, (_, x) => Math.floor((x * size) / width));
  const bits = new Uint8Array(width * height);
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.floor((y * size) / height) * size;
    for (const column of columns) bits[i++] = square[row + column];
  }
  return bits;
}
