import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { mropePositions, textRotary, visionRotary, windowOrder } from '../../../src/models/qwen2_5_vl/positions.js';
import { patchPlaces } from '../../../src/models/vlm/patches.js';
import { fixturesFolder } from '../../golden/golden.js';

const config = await readConfig(join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl'));
const { image, visionStart, visionEnd } = config.tokens;

describe('patchPlaces', () => {
  it('goes through one block after another', () => {
    expect([...patchPlaces({ h: 2, w: 4 }, 2)]).toEqual([0, 0, 0, 1, 1, 0, 1, 1, 0, 2, 0, 3, 1, 2, 1, 3]);
  });
});

describe('windowOrder', () => {
  it('keeps a grid of one window and cuts what is left over into smaller ones', () => {
    expect([...windowOrder({ h: 8, w: 8 }, config.vision).bounds]).toEqual([0, 64]);
    const { order, bounds } = windowOrder({ h: 2, w: 10 }, config.vision);
    expect([...order]).toEqual([0, 1, 2, 3, 4]);
    expect([...bounds]).toEqual([0, 16, 20]);
  });
});

describe('rotary tables', () => {
  it('turn patches with the row, then with the column', () => {
    const { cos, sin } = visionRotary({ h: 2, w: 4 }, config.vision);
    const half = config.vision.hidden / config.vision.heads / 2;
    expect(cos.length).toBe(8 * half);
    // Patch 6 stands at row 1, column 2; frequencies 10000^(-i / 4).
    const angles = [1, 0.1, 0.01, 0.001, 2, 0.2, 0.02, 0.002];
    angles.forEach((angle, i) => {
      expect(cos[6 * half + i]).toBeCloseTo(Math.cos(angle), 6);
      expect(sin[6 * half + i]).toBeCloseTo(Math.sin(angle), 6);
    });
  });

  it('turn tokens with time, height and width by sections', () => {
    const { cos, sin } = textRotary([0, 5, 0, 7, 0, 9], config.text);
    const axis = [5, 5, 7, 7, 7, 9, 9, 9];
    axis.forEach((position, i) => {
      expect(cos[8 + i]).toBeCloseTo(Math.cos(position * 1e6 ** (-i / 8)), 6);
      expect(sin[8 + i]).toBeCloseTo(Math.sin(position * 1e6 ** (-i / 8)), 6);
    });
    expect([...cos.subarray(0, 8)]).toEqual(Array(8).fill(1));
  });
});

describe('mropePositions', () => {
  it('lets an image stand still in time, and goes on after its longer side', () => {
    const row = [0, 0, 1, visionStart, image, image, image, visionEnd, 2];
    const { positions, delta } = mropePositions(row, [{ h: 2, w: 6 }], config, 2);
    const axes = [
      [0, 0, 0, 1, 2, 2, 2, 5, 6],
      [0, 0, 0, 1, 2, 2, 2, 5, 6],
      [0, 0, 0, 1, 2, 3, 4, 5, 6],
    ];
    expect([...positions]).toEqual(axes.flat());
    expect(delta).toBe(0);
  });

  it.each([
    ['too few placeholders', [image, image], [{ h: 2, w: 6 }]],
    ['an image without placeholders', [1], [{ h: 2, w: 2 }]],
    ['placeholders without an image', [image], []],
  ])('refuses %s', (_, row, grids) => {
    expect(() => mropePositions(row, grids, config)).toThrow(
      /row of tokens {2}image placeholders: expected .* for \d images; got \d/,
    );
  });
});
