import { readFile, stat } from 'node:fs/promises';

/** Most bytes of a picture's file: as many as the most pixels may take in three channels of 32 bits. */
export const PICTURE_BYTES = 2 ** 30;

const SIGNATURES = [
  /^\xff\xd8\xff/,
  /^\x89PNG\r\n/,
  /^GIF8/,
  /^RIFF[^]{4}WEBP/,
  /^(II[*+]\0|MM\0[*+])/,
  /^[^]{4}ftyp/,
  /^BM/,
];

/**
 * Refuses all but the formats that hold pixels. A drawing such as SVG is a program for its reader, may name other files,
 * and has no size of its own.
 *
 * @param start first bytes of a file, at least 12.
 * @throws {Error} for any other format.
 */
export function refuseOtherFormats(start: Uint8Array): void {
  const text = Buffer.from(start.subarray(0, 16)).toString('latin1');
  if (!SIGNATURES.some((signature) => signature.test(text)))
    throw new Error('an unsupported image format, none of JPEG, PNG, WebP, TIFF, GIF, AVIF and BMP');
}

/**
 * Refuses what is no file, such as a pipe or a device, which may never end.
 *
 * @throws {Error} the file system's, or with what is there.
 */
export async function refuseOtherThanFile(path: string): Promise<void> {
  const found = await stat(path);
  if (found.isDirectory()) throw new Error('a folder');
  if (!found.isFile()) throw new Error('a device or a pipe');
  if (found.size > PICTURE_BYTES) throw new Error(`${found.size} bytes, more than ${PICTURE_BYTES}`);
}

/**
 * The bytes of a picture's file.
 *
 * @throws {Error} as `refuseOtherThanFile`.
 */
export async function readPictureFile(path: string): Promise<Buffer> {
  await refuseOtherThanFile(path);
  return readFile(path);
}
