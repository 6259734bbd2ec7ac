import sharp from 'sharp';
import { describe, expect, it } from 'vitest';

import { decodeImage } from '../../src/io/image.js';

interface Stored {
  readonly big: boolean;
  readonly compression?: number;
  readonly colours: number;
  readonly samples: Uint8Array;
}

/** A TIFF of 2x2 pixels whose tags lie before its pixels, as Pillow and OpenCV write it. */
function tiff({ big, compression = 1, colours, samples }: Stored): Buffer {
  const channels = colours === 1 ? 1 : 3;
  const depths = channels === 1 ? [8] : [8, 8, 8];
  const entries: readonly (readonly [tag: number, values: readonly number[]])[] = [
    [256, [2]],
    [257, [2]],
    [258, depths],
    [259, [compression]],
    [262, [colours]],
    [273, [-1]],
    [277, [channels]],
    [278, [2]],
    [279, [samples.length]],
    ...(colours === 6 ? [[530, [1, 1]] as const] : []),
  ];
  const [head, entry, before, behind] = big ? [16, 20, 8, 8] : [8, 12, 2, 4];
  const depthsAt = head + before + entries.length * entry + behind;
  const start = depthsAt + 8;
  const bytes = Buffer.alloc(start + samples.length);
  bytes.write('MM');
  bytes.writeUInt16BE(big ? 43 : 42, 2);
  if (big) bytes.writeUInt16BE(8, 4);
  const long = (value: number, at: number) =>
    big ? bytes.writeBigUInt64BE(BigInt(value), at) : bytes.writeUInt32BE(value, at);
  long(head, big ? 8 : 4);
  if (big) long(entries.length, head);
  else bytes.writeUInt16BE(entries.length, head);
  entries.forEach(([tag, values], i) => {
    const at = head + before + i * entry;
    const value = at + (big ? 12 : 8);
    bytes.writeUInt16BE(tag, at);
    bytes.writeUInt16BE(tag === 273 ? 4 : 3, at + 2);
    long(values.length, at + 4);
    if (tag === 273) bytes.writeUInt32BE(start, value);
    else if (values.length * 2 > (big ? 8 : 4)) long(depthsAt, value);
    else values.forEach((each, j) => bytes.writeUInt16BE(each, value + 2 * j));
  });
  depths.forEach((depth, i) => bytes.writeUInt16BE(depth, depthsAt + 2 * i));
  bytes.set(samples, start);
  return bytes;
}

const gray = Uint8Array.of(10, 20, 30, 40);
const colour = Uint8Array.from({ length: 12 }, (_, i) => 20 * i);

describe('TIFF', () => {
  it.each([false, true])('is read; with offsets of 64 bits: %s', async (big) => {
    expect([...(await decodeImage(tiff({ big, colours: 2, samples: colour }), 'rgb.tif')).data]).toEqual([...colour]);
    expect([...(await decodeImage(tiff({ big, colours: 1, samples: gray }), 'gray.tif')).data]).toEqual(
      [...gray].flatMap((level) => [level, level, level]),
    );
  });

  it('that is cut off is not a picture that is black from there', async () => {
    const whole = tiff({ big: false, colours: 2, samples: colour });
    await expect(decodeImage(whole.subarray(0, -3), 'cut.tif')).rejects.toThrow(
      /^cut\.tif {2}image: expected a picture that can be decoded to its end; got .*9 bytes, expected 12/,
    );
  });

  it.each([
    ['ZSTD', 50_000],
    ['LZMA', 34_925],
  ])('compressed by %s is not a black picture', async (name, compression) => {
    const bytes = tiff({ big: false, colours: 1, compression, samples: gray });
    await expect(decodeImage(bytes, 'packed.tif')).rejects.toThrow(
      `packed.tif  image: expected a picture that can be decoded to its end; got tiff2vips: ${name} compression support is not configured`,
    );
  });

  it.each([false, true])('in YCbCr is not taken for RGB; with offsets of 64 bits: %s', async (big) => {
    await expect(decodeImage(tiff({ big, colours: 6, samples: colour }), 'ycc.tif')).rejects.toThrow(
      'ycc.tif  image: expected a picture that can be decoded to its end; got YCbCr colours that are not compressed by JPEG; way out: store it as RGB',
    );
  });

  it('in YCbCr within JPEG is read', async () => {
    const red = sharp({ create: { width: 16, height: 16, channels: 3, background: '#fe0000' } });
    const [r, g, b] = (await decodeImage(await red.tiff({ compression: 'jpeg', quality: 100 }).toBuffer(), 'jpeg.tif'))
      .data;
    expect([r > 250, g < 5, b < 5]).toEqual([true, true, true]);
  });
});
