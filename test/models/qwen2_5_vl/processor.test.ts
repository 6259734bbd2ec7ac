import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { patches } from '../../../src/models/qwen2_5_vl/processor.js';
import { imageTokens } from '../../../src/models/vlm/patches.js';
import type { Image } from '../../../src/records.js';
import { fixturesFolder } from '../../golden/golden.js';

const config = await readConfig(join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl'));

describe('patches', () => {
  it('takes an image of the right size as it is, twice in time', () => {
    const image = drawn(84, 56);
    const { pixels, grid } = patches(image, config);
    expect(grid).toEqual({ h: 4, w: 6 });
    expect(imageTokens(grid, config.vision.merge)).toBe(6);
    // Patch 6 opens the second block's second row: row 1, column 2, so that its first pixel is (28, 14).
    for (const channel of [0, 1, 2]) {
      const normalised = (image.data[3 * (14 * 84 + 28) + channel] / 255 - config.mean[channel]) / config.std[channel];
      expect(pixels[6 * 1176 + channel * 392]).toBeCloseTo(normalised, 6);
      expect(pixels[6 * 1176 + channel * 392 + 196]).toBeCloseTo(normalised, 6);
    }
  });

  it('puts the picture of positions into the second slot where the model was trained with one', () => {
    const papered = { ...config, vision: { ...config.vision, wallpaper: true } };
    const { pixels } = patches(drawn(112, 56), papered);
    const [x, y] = [14 + 3, 28 + 5];
    // Row 2, column 1 of patches: block 4 of a row of four blocks, second patch.
    const at = (4 * 4 + 1) * 1176 + 196 + 5 * 14 + 3;
    expect(pixels[at]).toBeCloseTo(Math.cos((Math.PI * (y % 14) * (x + 0.5)) / 112), 6);
    expect(pixels[at + 392]).toBeCloseTo(Math.cos((Math.PI * (x % 14) * (y + 0.5)) / 56), 6);
    expect(pixels[at + 784]).toBe(0);
    expect(pixels[at - 196]).toBe(patches(drawn(112, 56), config).pixels[at]);
  });
});

function drawn(width: number, height: number): Image {
  return { width, height, data: Uint8Array.from({ length: 3 * width * height }, (_, i) => (i * 37) % 256) };
}
