import { defined } from '../defined.js';
import { readImageFile } from '../io/image.js';
import { emptyMask, encodeMaskPng, maskArea, toCocoString } from '../io/mask.js';
import { FIGURE_INK, overlay } from '../io/overlay.js';
import type { Inspected, Segmenter } from '../models/segmenter.js';
import { shortPath } from '../errors.js';
import type { Image, Mask, Prompt } from '../records.js';
import type { Asker } from './asking.js';

/** One image, its prompt, and the result. */
export interface Segmented {
  readonly image: string;
  readonly pixels: Image;
  readonly prompt: Prompt | null;
  readonly completion?: string;
  readonly mask: Mask;
  /** The segmenter's estimate of each object's mask, if it has one. */
  readonly objects?: Inspected['objects'];
  /** Pixels of the mask. */
  readonly area: number;
}

/** Reads an image, gets its prompt and segments it at its own size; without a readable prompt the mask is empty. */
export async function segmented(image: string, asker: Asker, segmenter: Segmenter): Promise<Segmented> {
  const pixels = await readImageFile(image);
  const { prompt, completion } = await asker.ask(pixels);
  const size = { width: pixels.width, height: pixels.height };
  const { mask, objects } = prompt ? await cut(segmenter, pixels, prompt) : { mask: emptyMask(size) };
  return {
    image,
    pixels,
    prompt,
    ...defined({ completion }),
    mask,
    ...(objects ? { objects } : {}),
    area: maskArea(mask),
  };
}

async function cut(
  segmenter: Segmenter,
  image: Image,
  prompt: Prompt,
): Promise<Pick<Inspected, 'mask'> & Partial<Inspected>> {
  const frame = { width: image.width, height: image.height };
  const request = { image, prompts: [prompt], frame };
  const [found] = segmenter.inspect
    ? await segmenter.inspect(request)
    : (await segmenter.segment(request)).map((mask) => ({ mask }));
  return found;
}

/** A result as JSON has it: the mask in COCO's compressed run lengths. */
export function jsonOf(
  { pixels, mask, area, image, ...asked }: Segmented,
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
    segmentation: { size: [height, width], counts: toCocoString(mask) },
  };
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
