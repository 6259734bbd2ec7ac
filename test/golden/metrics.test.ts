import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readImageFile, toGray } from '../../src/io/image.js';
import { resizeGray } from '../../src/io/resize.js';
import { iou } from '../../src/metrics/iou.js';
import { structureMeasure } from '../../src/metrics/structure-measure.js';
import type { Size } from '../../src/records.js';
import { dataFolder, goldenFolder } from './golden.js';

interface Case {
  readonly name: string;
  readonly root: 'data' | 'here';
  readonly pred: string;
  readonly gt: string;
  readonly resize?: 'nearest-cv2' | 'nearest-pil' | 'bilinear-pil' | null;
  readonly values: { readonly S: number | null; readonly iou: { readonly binary: number }; readonly iou_over_127: number; readonly reward: { readonly S: number | null } | null };
}

const folder = join(goldenFolder(), 'metrics');
const cases: readonly Case[] = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')).cases;
const readable = cases.filter(({ root }) => root === 'here' || existsSync(dataFolder()));

describe('metrics agree with pysodmetrics', () => {
  it.each(readable.map((one) => [one.name, one] as const))('%s', async (_, { pred, gt, root, resize, values }) => {
    const truth = await readImageFile(join(root === 'data' ? dataFolder() : folder, gt));
    const stored = await readImageFile(join(folder, pred));
    const mask = toGray(truth).map((level) => (level > 128 ? 1 : 0));
    const levels = fitted(toGray(stored), stored, truth, resize ?? 'nearest-cv2');
    const soft = minMax(levels);
    const structure = structureMeasure(soft, mask, truth);

    expect(structure).toBeGreaterThanOrEqual(0);
    expect(structure).toBeLessThanOrEqual(1 + 1e-12);
    // null is the package's NaN for an empty quadrant, which counts nothing here.
    if (values.S !== null) expect(Math.abs(structure - values.S)).toBeLessThan(1e-6);
    if (values.reward && values.reward.S !== null) {
      const binary = levels.map((level) => (level > 127 ? 1 : 0));
      expect(Math.abs(structureMeasure(binary, mask, truth) - values.reward.S)).toBeLessThan(1e-6);
    }
    expect(Math.abs(iou(Uint8Array.from(soft, (p) => (p > 0.5 ? 1 : 0)), mask) - values.iou.binary)).toBeLessThan(1e-6);
    expect(Math.abs(iou(levels.map((level) => (level > 127 ? 1 : 0)), toGray(truth).map((level) => (level > 127 ? 1 : 0))) - values.iou_over_127)).toBeLessThan(1e-6);
  });
});

function minMax(levels: Uint8Array): Float32Array {
  const low = levels.reduce((a, b) => Math.min(a, b), 255);
  const high = levels.reduce((a, b) => Math.max(a, b), 0);
  return Float32Array.from(levels, (level) => (low === high ? level / 255 : (level / 255 - low / 255) / (high / 255 - low / 255)));
}

function fitted(levels: Uint8Array, from: Size, to: Size, how: NonNullable<Case['resize']>): Uint8Array {
  if (from.width === to.width && from.height === to.height) return levels;
  if (how === 'bilinear-pil') return resizeGray(levels, from, to, 'bilinear');
  const middle = how === 'nearest-pil' ? 0.5 : 0;
  const source = (at: number, size: number, wanted: number): number => Math.min(size - 1, Math.floor((at + middle) * (size / wanted)));
  return Uint8Array.from({ length: to.width * to.height }, (_, i) => {
    const x = source(i % to.width, from.width, to.width);
    const y = source(Math.floor(i / to.width), from.height, to.height);
    return levels[y * from.width + x];
  });
}
