import { defined } from '../defined.js';
import { readImageFile } from '../io/image.js';
import { decodeMask, emptyMask, encodeMask, encodeMaskPng, maskArea, toCocoString } from '../io/mask.js';
import { FIGURE_INK, overlay } from '../io/overlay.js';
import type { Inspected, Judged, Segmenter } from '../models/segmenter.js';
import { shortPath } from '../errors.js';
import type { Box, Image, Mask, Prompt, PromptObject, Size } from '../records.js';
import type { Asker } from './asking.js';

/** One image, its prompt, and the result. */
export interface Segmented {
  readonly image: string;
  readonly pixels: Image;
  readonly prompt: Prompt | null;
  readonly completion?: string;
  readonly mask: Mask;
  /** The objects of the prompt, in its order. */
  readonly objects: readonly Cut[];
  /** Pixels of the mask. */
  readonly area: number;
}

/** One object of a prompt, its own mask, and the segmenter's estimate of it if it has one. */
export interface Cut extends PromptObject, Partial<Judged> {
  readonly mask: Mask;
}

/** Reads an image, gets its prompt and segments it at its own size; without a readable prompt the mask is empty. */
export async function segmented(image: string, asker: Asker, segmenter: Segmenter): Promise<Segmented> {
  const pixels = await readImageFile(image);
  const { prompt, completion } = await asker.ask(pixels);
  const size = { width: pixels.width, height: pixels.height };
  const { mask, objects } = prompt ? await cut(segmenter, pixels, prompt) : { mask: emptyMask(size), objects: [] };
  return {
    image,
    pixels,
    prompt,
    ...defined({ completion }),
    mask,
    objects,
    area: maskArea(mask),
  };
}

/** Each object by itself, and their union. */
async function cut(
  segmenter: Segmenter,
  image: Image,
  { frame: written, objects }: Prompt,
): Promise<Pick<Segmented, 'mask' | 'objects'>> {
  const frame = { width: image.width, height: image.height };
  const request = { image, prompts: objects.map((one) => ({ frame: written, objects: [one] })), frame };
  const found: readonly (Pick<Inspected, 'mask'> & Partial<Inspected>)[] = segmenter.inspect
    ? await segmenter.inspect(request)
    : (await segmenter.segment(request)).map((mask) => ({ mask }));
  const cuts = found.map(({ mask, objects: judged }, i): Cut => {
    const { box, points } = objects[i];
    // A box uses only the points inside it.
    const own = box ? points.filter(({ x, y }) => isWithin(x, y, box)) : points;
    return { ...(box && { box }), points: own, mask, ...judged?.[0] };
  });
  return {
    mask: union(
      cuts.map(({ mask }) => mask),
      frame,
    ),
    objects: cuts,
  };
}

function isWithin(x: number, y: number, [x1, y1, x2, y2]: Box): boolean {
  return x >= Math.min(x1, x2) && x <= Math.max(x1, x2) && y >= Math.min(y1, y2) && y <= Math.max(y1, y2);
}

function union(masks: readonly Mask[], size: Size): Mask {
  if (masks.length === 1) return masks[0];
  const bits = new Uint8Array(size.width * size.height);
  for (const mask of masks) for (const [i, bit] of decodeMask(mask).entries()) bits[i] |= bit;
  return encodeMask(bits, size);
}

/** A result as JSON has it: masks in COCO's compressed run lengths, of all objects together and of each. */
export function jsonOf(
  { pixels, mask, area, image, objects, ...asked }: Segmented,
  names: { readonly segmenter: string; readonly policy?: string },
): object {
  const { width, height } = pixels;
  return {
    image: shortPath(image),
    width,
    height,
    ...names,
    ...asked,
    area,
    segmentation: segmentationOf(mask),
    objects: objects.map(({ mask: own, ...one }) => ({
      ...one,
      area: maskArea(own),
      segmentation: segmentationOf(own),
    })),
  };
}

function segmentationOf(mask: Mask): object {
  return { size: [mask.height, mask.width], counts: toCocoString(mask) };
}

/** A result as pictures: the mask, and the image with prompt and mask drawn over it. */
export async function drawn({
  pixels,
  prompt,
  mask,
}: Segmented): Promise<{ readonly mask: Buffer; readonly overlay: Buffer }> {
  const [png, over] = await Promise.all([
    encodeMaskPng(mask),
    overlay(pixels, { mask, ...(prompt ? { prompt } : {}) }, FIGURE_INK),
  ]);
  return { mask: png, overlay: over };
}
