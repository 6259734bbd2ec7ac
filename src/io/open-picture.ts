import { open } from 'node:fs/promises';

import sharp, { type Sharp } from 'sharp';

import { DataError } from '../errors.js';
import type { Size } from '../records.js';
import { bmpSize, decodeBmp, isBmp } from './bmp.js';
import { rgbOfCmyk } from './cmyk.js';
import { showTransparent } from './gif-colours.js';
import { refuseOtherFormats, refuseOtherThanFile } from './raster-file.js';
import { isTiff, refuseRawYcbcr } from './tiff.js';

/** A picture whose pixels can be taken. */
export interface Picture {
  /** Upright, 8 bits a channel in sRGB, with alpha where the file has it; embedded profiles are not applied. */
  readonly pixels: Sharp;
  /** Its levels before they became 8 bits, one a pixel, where it is gray and has more; NaN where one is no number. */
  readonly levels?: Float32Array;
}

/**
 * Opens the bytes of a picture as Pillow's convert("RGB") sees it: CMYK without a print profile, and the colours under
 * transparent pixels. Of 16-bit gray the high bytes are taken, unless no level needs one.
 *
 * @param limit most pixels; false for no limit.
 * @throws if there is no readable header, or there are more pixels.
 */
export async function openPicture(bytes: Uint8Array, limit: number | false): Promise<Picture> {
  if (isBmp(bytes)) {
    const size = bmpSize(bytes);
    if (limit !== false && size.width * size.height > limit) throw new DataError('expected fewer pixels');
    const { data, channels } = decodeBmp(bytes);
    return { pixels: rawPicture(data, { ...size, channels }) };
  }
  refuseOtherFormats(bytes);
  if (isTiff(bytes)) refuseRawYcbcr(bytes);
  const shown = showTransparent(bytes);
  const { space, depth } = await opened(shown, false).metadata();
  const upright = opened(shown, limit).autoOrient();
  if (space === 'cmyk') {
    const { data, info } = await upright
      .pipelineColourspace('cmyk')
      .toColourspace('cmyk')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return { pixels: rawPicture(rgbOfCmyk(data, info.channels), { ...info, channels: 3 }) };
  }
  if (depth === 'uchar' || (space !== 'grey16' && space !== 'b-w')) return { pixels: upright };
  return deepGray(() => opened(shown, limit).autoOrient(), space);
}

/** Gray of more than 8 bits. */
async function deepGray(upright: () => Sharp, space: 'grey16' | 'b-w'): Promise<Picture> {
  const { data, info } = await upright()
    .pipelineColourspace(space)
    .toColourspace(space)
    .extractChannel(0)
    .raw({ depth: 'float' })
    .toBuffer({ resolveWithObject: true });
  const levels = new Float32Array(data.buffer, data.byteOffset, data.length / 4);
  const { width, height } = info;
  const small = levels.every((level) => level >= 0 && level <= 255 && Number.isInteger(level));
  return small
    ? { pixels: rawPicture(Uint8Array.from(levels), { width, height, channels: 1 }), levels }
    : { pixels: upright(), levels };
}

/**
 * Header of a picture, from its bytes or from a file: its size once it stands upright, and how many pictures it holds.
 *
 * @throws if it can't be read.
 */
export async function pictureHeader(source: Uint8Array | string): Promise<Size & { readonly pages: number }> {
  const start = typeof source === 'string' ? await startOf(source) : source;
  if (isBmp(start)) return { ...bmpSize(start), pages: 1 };
  refuseOtherFormats(start);
  const { autoOrient, pages = 1 } = await opened(source, false).metadata();
  return { ...autoOrient, pages };
}

/** More than the longest header of a bitmap. */
const HEADER_BYTES = 256;

async function startOf(path: string): Promise<Uint8Array> {
  await refuseOtherThanFile(path);
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

function opened(source: Uint8Array | string, limit: number | false): Sharp {
  // Of a TIFF that is cut off, or compressed in an unknown way, the decoder would leave black what it can't read.
  const failOn = typeof source !== 'string' && isTiff(source) ? 'error' : 'truncated';
  return sharp(source, { limitInputPixels: limit, failOn, ignoreIcc: true });
}

function rawPicture(data: Uint8Array, { width, height, channels }: Size & { readonly channels: 1 | 3 | 4 }): Sharp {
  return sharp(data, { raw: { width, height, channels }, limitInputPixels: false });
}
