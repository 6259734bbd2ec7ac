import { writeFile } from 'node:fs/promises';

import sharp from 'sharp';

import { DataError } from '../errors.js';
import type { Mask, Size } from '../records.js';
import { readPlanes, toGray } from './image.js';
import { decodeMask, encodeMask } from './mask-bits.js';
import { maskFault } from './mask-levels.js';
import { resizeGray } from './resize.js';

/**
 * Reads a mask picture of any kind (1-bit, gray, palette, 16-bit, RGB) as Seg-R1 does: to gray (alpha dropped),
 * stretched to `frame`
 * with bilinear weights, foreground over 127. A mask without foreground, or without background, is a mask.
 *
 * @returns the mask at `frame` size, and the size of the file's picture.
 * @throws {DataError} if the file can't be decoded, or its levels are none of a mask: see `maskFault`.
 */
export async function readMaskFile(path: string, frame: Size): Promise<{ mask: Mask; original: Size }> {
  const planes = await readPlanes(path);
  const { image } = planes;
  const levels = toGray(image);
  const fault = maskFault(planes, levels, 127);
  if (fault !== undefined) throw new DataError(`${path}  mask: ${fault}`);
  const gray = resizeGray(levels, image, frame, 'bilinear');
  return {
    mask: encodeMask(
      gray.map((level) => (level > 127 ? 1 : 0)),
      frame,
    ),
    original: { width: image.width, height: image.height },
  };
}

/** A mask as an 8-bit gray PNG: 0 and 255. */
export function encodeMaskPng(mask: Mask): Promise<Buffer> {
  const { width, height } = mask;
  const levels = decodeMask(mask).map((bit) => bit * 255);
  return sharp(levels, { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
}

/** Writes what `encodeMaskPng` gives. */
export async function writeMaskPng(path: string, mask: Mask): Promise<void> {
  await writeFile(path, await encodeMaskPng(mask));
}
