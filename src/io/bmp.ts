import { DataError } from '../errors.js';
import type { Size } from '../records.js';
import { rowsOfRunLengths } from './bmp-runs.js';

/** Pixels of a bitmap, row by row from the top: RGB, and alpha where the file declares it. */
export interface Bitmap extends Size {
  readonly channels: 3 | 4;
  readonly data: Uint8Array;
}

interface Header extends Size {
  readonly bits: number;
  readonly compression: number;
  readonly topDown: boolean;
  /** Where the pixels begin in the file. */
  readonly offset: number;
  /** Bits of red, green, blue and alpha in a pixel of 16 or 32 bits; alpha 0 where there is none. */
  readonly masks: readonly [number, number, number, number];
  /** Bytes of each colour, blue first. */
  readonly palette: { readonly at: number; readonly count: number; readonly bytes: 3 | 4 };
}

const [PLAIN, RUNS_8, RUNS_4, FIELDS, ALPHA_FIELDS] = [0, 1, 2, 3, 6];
const DEPTHS = [1, 2, 4, 8, 16, 24, 32];

/** Whether bytes are a Windows or OS/2 bitmap, by their first two. */
export function isBmp(bytes: Uint8Array): boolean {
  return bytes[0] === 0x42 && bytes[1] === 0x4d;
}

/**
 * Size of a bitmap, from its header.
 *
 * @throws {DataError} if the header is cut off, or of an unknown kind.
 */
export function bmpSize(bytes: Uint8Array): Size {
  const { width, height } = headerOf(bytes);
  return { width, height };
}

/**
 * Decodes a bitmap as Pillow does: 1 to 8 bits a pixel through the palette, also in run lengths; 16, 24 and 32 bits,
 * also with masks; from the bottom or from the top. Not a library's: against Pillow, bmp-ts has wrong palettes, 16-bit
 * colours and run lengths, and decode-bmp fails on 16 bits, 8-bit run lengths, OS/2 and from the top.
 *
 * @throws {DataError} if it is cut off or of an unknown kind.
 * @see https://learn.microsoft.com/windows/win32/gdi/bitmap-header-types
 */
export function decodeBmp(bytes: Uint8Array): Bitmap {
  const header = headerOf(bytes);
  const { width, height, bits, compression } = header;
  if (compression === RUNS_8 || compression === RUNS_4)
    return painted(header, bytes, rowsOfRunLengths(bytes.subarray(header.offset), header, bits === 4));
  const stride = Math.ceil((width * bits) / 32) * 4;
  // The padding behind the last row is often missing.
  const needed = header.offset + stride * (height - 1) + Math.ceil((width * bits) / 8);
  if (bytes.length < needed) throw new DataError(`expected ${needed} bytes of a bitmap; got ${bytes.length}`);
  return bits <= 8
    ? painted(header, bytes, indices(header, bytes, stride))
    : coloured(header, bytes.subarray(header.offset), stride);
}

function headerOf(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const size = bytes.length >= 26 ? view.getUint32(14, true) : 0;
  if (size < 12 || (size > 12 && size < 16) || bytes.length < 14 + size)
    throw new DataError('expected the header of a bitmap; got one that is cut off');
  const old = size === 12;
  const at = (position: number): number => (position + 4 <= 14 + size ? view.getUint32(position, true) : 0);
  const width = old ? view.getUint16(18, true) : view.getInt32(18, true);
  const rows = old ? view.getUint16(20, true) : view.getInt32(22, true);
  const bits = view.getUint16(old ? 24 : 28, true);
  const compression = old ? PLAIN : at(30);
  const known =
    (compression === PLAIN && DEPTHS.includes(bits)) ||
    (compression === RUNS_8 && bits === 8) ||
    (compression === RUNS_4 && bits === 4) ||
    ((compression === FIELDS || compression === ALPHA_FIELDS) && (bits === 16 || bits === 32));
  if (width <= 0 || rows === 0 || !known)
    throw new DataError(
      `expected a bitmap of 1 to 32 bits a pixel, plain or in run lengths; got ${width}x${Math.abs(rows)}, ${bits} bits, compression ${compression}`,
    );
  const fields = compression === FIELDS ? 3 : compression === ALPHA_FIELDS ? 4 : 0;
  const outside = size === 40 ? fields : 0;
  const count = old || at(46) === 0 ? 2 ** Math.min(bits, 8) : Math.min(at(46), 256);
  return {
    width,
    height: Math.abs(rows),
    bits,
    compression,
    topDown: rows < 0,
    offset: view.getUint32(10, true),
    masks: masksOf(view, { bits, fields, inside: size >= 52, alpha: size >= 56 || fields === 4 }),
    palette: { at: 14 + size + 4 * outside, count: bits <= 8 ? count : 0, bytes: old ? 3 : 4 },
  };
}

function masksOf(
  view: DataView,
  { bits, fields, inside, alpha }: { bits: number; fields: number; inside: boolean; alpha: boolean },
): Header['masks'] {
  if (fields === 0) return bits === 16 ? [0x7c00, 0x3e0, 0x1f, 0] : [0xff0000, 0xff00, 0xff, 0];
  const last = 54 + 4 * (inside || alpha ? 4 : 3);
  if (view.byteLength < last) throw new DataError('expected the masks of a bitmap; got a file that ends before');
  const mask = (i: number): number => view.getUint32(54 + 4 * i, true);
  return [mask(0), mask(1), mask(2), alpha ? mask(3) : 0];
}

/** One palette index a pixel, from the top. */
function indices({ width, height, bits, topDown, offset }: Header, bytes: Uint8Array, stride: number): Uint8Array {
  const out = new Uint8Array(width * height);
  const each = 8 / bits;
  for (let y = 0, o = 0; y < height; y++) {
    const row = offset + stride * (topDown ? y : height - 1 - y);
    for (let x = 0; x < width; x++, o++)
      out[o] = (bytes[row + Math.floor(x / each)] >> (8 - bits - (x % each) * bits)) & (2 ** bits - 1);
  }
  return out;
}

function painted({ width, height, palette }: Header, bytes: Uint8Array, at: Uint8Array): Bitmap {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0, o = 0; i < at.length; i++, o += 3) {
    if (at[i] >= palette.count) continue;
    const colour = palette.at + at[i] * palette.bytes;
    [data[o], data[o + 1], data[o + 2]] = [bytes[colour + 2] ?? 0, bytes[colour + 1] ?? 0, bytes[colour] ?? 0];
  }
  return { width, height, channels: 3, data };
}

function coloured({ width, height, bits, topDown, masks }: Header, bytes: Uint8Array, stride: number): Bitmap {
  const channels = masks[3] === 0 ? 3 : 4;
  const data = new Uint8Array(width * height * channels);
  const fields = masks.slice(0, channels).map((mask) => fieldOf(mask));
  for (let y = 0, o = 0; y < height; y++) {
    let at = stride * (topDown ? y : height - 1 - y);
    for (let x = 0; x < width; x++, at += bits / 8) {
      const low = bytes[at] | (bytes[at + 1] << 8);
      const pixel = bits === 16 ? low : (low | (bytes[at + 2] << 16) | (bits === 32 ? bytes[at + 3] << 24 : 0)) >>> 0;
      for (const { shift, most } of fields)
        data[o++] = most === 0 ? 0 : Math.floor((((pixel >>> shift) & most) * 255) / most);
    }
  }
  return { width, height, channels, data };
}

/** How far a mask's bits lie from the right, and their highest value. */
function fieldOf(mask: number): { readonly shift: number; readonly most: number } {
  if (mask === 0) return { shift: 0, most: 0 };
  const shift = 31 - Math.clz32(mask & -mask);
  return { shift, most: mask >>> shift };
}
