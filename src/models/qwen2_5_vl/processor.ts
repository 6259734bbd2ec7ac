import { DataError } from '../../errors.js';
import { resize, type PassOrder } from '../../io/resize.js';
import type { Image, Size } from '../../records.js';
import type { QwenConfig } from './config.js';
import { patchPlaces, type Patches } from '../vlm/patches.js';

/**
 * The size nearest to the image's whose sides are whole merged tokens and whose area is within the checkpoint's limits.
 *
 * @throws {DataError} if one side is more than 200 times the other.
 * @see transformers, `Qwen2VLImageProcessor.smart_resize`.
 */
export function smartResize(size: Size, config: QwenConfig): Size {
  const { width, height } = size;
  const { minPixels, maxPixels } = config;
  const unit = config.vision.patch * config.vision.merge;
  if (Math.max(width, height) > 200 * Math.min(width, height))
    throw new DataError(`image  size: expected sides within a ratio of 200; got ${width}×${height}`);
  const near = { width: halfToEven(width / unit) * unit, height: halfToEven(height / unit) * unit };
  const area = near.width * near.height;
  if (area > maxPixels) {
    const shrink = Math.sqrt((height * width) / maxPixels);
    const side = (length: number): number => Math.max(unit, Math.floor(length / shrink / unit) * unit);
    return { width: side(width), height: side(height) };
  }
  if (area < minPixels) {
    const grow = Math.sqrt(minPixels / (height * width));
    const side = (length: number): number => Math.ceil((length * grow) / unit) * unit;
    return { width: side(width), height: side(height) };
  }
  return near;
}

/**
 * Resizes, normalises and cuts an image; a patch holds, by channel, two temporal slots of rows and columns.
 *
 * @param image any size; of the right size it is not resized.
 * @param order of the resizing passes: transformers 5 goes horizontally first, Seg-R1's release through Pillow.
 * @throws {DataError} as `smartResize`.
 */
export function patches(image: Image, config: QwenConfig, order: PassOrder = 'horizontal-first'): Patches {
  const size = smartResize(image, config);
  const { data } = resize(image, size, 'bicubic', order);
  const { patch, merge, wallpaper } = config.vision;
  const grid = { h: size.height / patch, w: size.width / patch };
  const places = patchPlaces(grid, merge);
  const shades = shadesOf(config);
  const area = patch * patch;
  const pixels = new Float32Array(grid.h * grid.w * 6 * area);
  for (let index = 0; index < places.length / 2; index++) {
    const top = places[2 * index] * patch;
    const left = places[2 * index + 1] * patch;
    for (let channel = 0; channel < 3; channel++) {
      const to = (6 * index + 2 * channel) * area;
      for (let i = 0; i < area; i++) {
        const y = top + Math.floor(i / patch);
        const x = left + (i % patch);
        const value = shades[256 * channel + data[3 * (y * size.width + x) + channel]];
        pixels[to + i] = value;
        pixels[to + area + i] = wallpaper ? wall(channel, x, y, size, patch) : value;
      }
    }
  }
  return { pixels, grid };
}

/**
 * A picture that encodes positions: a linear patch embedding reads from it `patch` harmonics of x (red) and of y
 * (green).
 */
function wall(channel: number, x: number, y: number, size: Size, patch: number): number {
  if (channel === 0) return Math.cos((Math.PI * (y % patch) * (x + 0.5)) / size.width);
  if (channel === 1) return Math.cos((Math.PI * (x % patch) * (y + 0.5)) / size.height);
  return 0;
}

/** [3 × 256]: each byte's normalised value in each channel. */
function shadesOf({ mean, std }: QwenConfig): Float32Array {
  return Float32Array.from({ length: 3 * 256 }, (_, i) => {
    const channel = i >> 8;
    return ((i & 255) / 255 - mean[channel]) / std[channel];
  });
}

/** As Python rounds: `Math.round` differs on every side of 70 + 56 k pixels. */
function halfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
