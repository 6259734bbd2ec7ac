import { resize } from '../../io/resize.js';
import type { Image } from '../../records.js';
import type { Sam2Config } from './config.js';

/** An image at the model's input size: bytes, antialiased, without keeping the aspect ratio. */
export function square(image: Image, { size }: Pick<Sam2Config, 'size'>): Image {
  return resize(image, { width: size, height: size }, 'bilinear', 'torchvision');
}

/**
 * Normalised values of a square image.
 *
 * @param swapped swaps red and blue, as the released Seg-R1 shows its segmenter every image.
 * @returns [3, size, size]
 */
export function normalised(
  { data }: Image,
  { mean, std }: Pick<Sam2Config, 'mean' | 'std'>,
  swapped = false,
): Float32Array {
  const cells = data.length / 3;
  const values = new Float32Array(data.length);
  for (let channel = 0; channel < 3; channel++) {
    const shades = Float32Array.from({ length: 256 }, (_, byte) => (byte / 255 - mean[channel]) / std[channel]);
    const from = swapped ? 2 - channel : channel;
    for (let i = 0; i < cells; i++) values[channel * cells + i] = shades[data[3 * i + from]];
  }
  return values;
}
