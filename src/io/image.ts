import sharp from 'sharp';

import { defined } from '../defined.js';
import { DataError, messageOf } from '../errors.js';
import type { Image, Size } from '../records.js';
import { readEmbedded } from './embedded.js';
import { openPicture, pictureHeader } from './open-picture.js';
import { readPictureFile } from './raster-file.js';

/** Most pixels a picture may have to be decoded: Pillow's limit against decompression bombs. */
export const PIXEL_LIMIT = 89_478_485;

export interface DecodeOptions {
  /** `drop` shows the colours under transparent pixels, as Pillow's convert("RGB") does; `white` lays them on white. */
  readonly alpha?: 'drop' | 'white';
}

/** Everything that a mask's levels are judged by. */
export interface Planes {
  readonly image: Image;
  /** [height × width], 0 to 255, where the file has it. */
  readonly alpha?: Uint8Array;
  /** Levels of a gray picture of more than 8 bits, as they are stored. */
  readonly levels?: Float32Array;
}

/**
 * Pixels of a picture file, or of one inside a table (see `embeddedReference`), as Pillow's convert("RGB") gives them:
 * upright (EXIF rotation applied), 8-bit RGB; embedded colour profiles are not applied.
 *
 * 16-bit gray keeps its high bytes, or its levels where none is over 255; Pillow makes all that is over it white.
 *
 * @throws {DataError} if the file is missing, empty, cut off, not a picture, or over `PIXEL_LIMIT`.
 */
export async function readImageFile(path: string, options: DecodeOptions = {}): Promise<Image> {
  return decodeImage(await bytesOf(path), path, options);
}

/**
 * As `readImageFile`, with what it drops.
 *
 * @throws {DataError} as `readImageFile`.
 */
export async function readPlanes(path: string): Promise<Planes> {
  const bytes = await bytesOf(path);
  return orDataError(bytes, path, async () => {
    const { pixels, levels } = await openPicture(bytes, PIXEL_LIMIT);
    const { data, info } = await pixels
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    const count = width * height;
    if (channels === 3) return { image: { width, height, data: new Uint8Array(data) }, ...defined({ levels }) };
    const plane = (channel: number): Uint8Array =>
      Uint8Array.from({ length: count }, (_, i) => data[i * channels + channel]);
    const rgb = Uint8Array.from({ length: count * 3 }, (_, i) =>
      channels > 3 ? data[Math.floor(i / 3) * channels + (i % 3)] : data[Math.floor(i / 3) * channels],
    );
    return { image: { width, height, data: rgb }, ...defined({ levels }), alpha: plane(channels - 1) };
  });
}

/**
 * As `readImageFile`, from bytes in memory.
 *
 * @param name of the bytes in messages.
 * @throws {DataError} as `readImageFile`.
 */
export async function decodeImage(bytes: Uint8Array, name: string, options: DecodeOptions = {}): Promise<Image> {
  return orDataError(bytes, name, async () => {
    const { pixels } = await openPicture(bytes, PIXEL_LIMIT);
    const opaque = options.alpha === 'white' ? pixels.flatten({ background: '#ffffff' }) : pixels.removeAlpha();
    const { data, info } = await opaque
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    // A copy: the decoder's own memory cannot be handed to a worker thread.
    return { width: info.width, height: info.height, data: new Uint8Array(data) };
  });
}

/**
 * Size of a picture file once it stands upright, from its header alone; the pixels behind it may still be unreadable.
 *
 * @throws {DataError} if there is no readable header.
 */
export async function imageSize(path: string): Promise<Size> {
  try {
    const { width, height } = await pictureHeader((await readEmbedded(path)) ?? path);
    return { width, height };
  } catch (error) {
    throw new DataError(`${path}  image: expected a picture with a readable header; got ${reasonOf(error)}`, {
      cause: error,
    });
  }
}

/** PNG bytes of an image, lossless. */
export function encodePng(image: Image): Promise<Buffer> {
  const { data, width, height } = image;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Luma of each pixel by Pillow's convert("L"), [height × width], 0 to 255. */
export function toGray(image: Image): Uint8Array {
  const { data, width, height } = image;
  const gray = new Uint8Array(width * height);
  for (let i = 0, p = 0; i < gray.length; i++, p += 3) {
    gray[i] = (data[p] * 19595 + data[p + 1] * 38470 + data[p + 2] * 7471 + 0x8000) >> 16;
  }
  return gray;
}

async function bytesOf(path: string): Promise<Buffer> {
  try {
    return (await readEmbedded(path)) ?? (await readPictureFile(path));
  } catch (error) {
    throw new DataError(`${path}  image: expected a file that can be read; got ${reasonOf(error)}`, { cause: error });
  }
}

async function orDataError<T>(bytes: Uint8Array, name: string, decode: () => Promise<T>): Promise<T> {
  if (bytes.length === 0) throw new DataError(`${name}  image: expected a picture; got 0 bytes`);
  try {
    return await decode();
  } catch (error) {
    throw new DataError(`${name}  image: ${await whyNot(bytes, error)}`, { cause: error });
  }
}

async function whyNot(bytes: Uint8Array, error: unknown): Promise<string> {
  const header = await pictureHeader(bytes).catch(() => undefined);
  if (header && header.width * header.height > PIXEL_LIMIT) {
    return `expected at most ${PIXEL_LIMIT} pixels; got ${header.width}x${header.height}; store it smaller`;
  }
  return `expected a picture that can be decoded to its end; got ${reasonOf(error)}`;
}

/** First line only, and without the path that a file system's message repeats. */
function reasonOf(error: unknown): string {
  return (messageOf(error).split('\n')[0] ?? '').replace(/, \w+ '.*'$/, '').trim();
}
