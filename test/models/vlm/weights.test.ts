import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { folderTensors } from '../../../src/io/safetensors.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { weightShapes } from '../../../src/models/qwen2_5_vl/weights.js';
import { weightInputs, within } from '../../../src/models/vlm/weights.js';
import { fixturesFolder } from '../../golden/golden.js';

const checkpoint = (name: string): string => join(fixturesFolder(), 'policy', name);
const count = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1);

describe('weightShapes', () => {
  it('names every tensor of a released checkpoint, with as many numbers', async () => {
    const tensors = await folderTensors(checkpoint('tiny-qwen2_5_vl'));
    const shapes = weightShapes(await readConfig(checkpoint('tiny-qwen2_5_vl')));
    expect(shapes.map(({ name }) => name).toSorted()).toEqual(tensors.names.toSorted());
    for (const { name, sizes } of shapes)
      expect([name, count(Object.values(sizes))]).toEqual([name, count(tensors.info(name).shape)]);
  });

  it('has no head of its own where the embedding table is the head', async () => {
    const names = weightShapes(await readConfig(checkpoint('tiny-qwen2_5_vl-tied-bf16'))).map(({ name }) => name);
    expect([names.includes('model.embed_tokens.weight'), names.includes('lm_head.weight')]).toEqual([true, false]);
  });
});

describe('a published checkpoint', () => {
  const vision = {
    depth: 32,
    hidden: 1280,
    heads: 16,
    patch: 14,
    merge: 2,
    temporalPatch: 2,
    window: 112,
    fullAttention: [7, 15, 23, 31],
    wallpaper: false,
  };
  const text = { positions: 128_000, headDim: 128, eps: 1e-6, ropeTheta: 1e6, mropeSection: [16, 24, 24] as const };

  // transformers 5.23: sum(p.numel() for p in Qwen2_5_VLForConditionalGeneration(config).parameters()) on the device
  // "meta"
  it.each([
    [
      '3B',
      { vocab: 151_936, hidden: 2048, layers: 36, heads: 16, kvHeads: 2, intermediate: 11_008, tied: true },
      3420,
      3_754_622_976,
    ],
    [
      '7B',
      { vocab: 152_064, hidden: 3584, layers: 28, heads: 28, kvHeads: 4, intermediate: 18_944, tied: false },
      3420,
      8_292_166_656,
    ],
    [
      '32B',
      { vocab: 152_064, hidden: 5120, layers: 64, heads: 40, kvHeads: 8, intermediate: 27_648, tied: false },
      3456,
      33_452_718_336,
    ],
    [
      '72B',
      { vocab: 152_064, hidden: 8192, layers: 80, heads: 64, kvHeads: 8, intermediate: 29_568, tied: false },
      3456,
      73_410_777_344,
    ],
  ])('of %s has as many weights as transformers counts', async (_, own, intermediate, expected) => {
    const config = {
      ...(await readConfig(checkpoint('tiny-qwen2_5_vl'))),
      text: { ...text, ...own },
      vision: { ...vision, intermediate, outHidden: own.hidden },
    };
    expect(weightShapes(config).reduce((sum, { sizes }) => sum + count(Object.values(sizes)), 0)).toBe(expected);
  });
});

describe('weightInputs', () => {
  it('traces a weight once, however often it is used, and only what is used', () => {
    const weights = weightInputs([
      { name: 'a', sizes: { out: 2, width: 3 } },
      { name: 'b', sizes: { out: 2 } },
    ]);
    expect(weights('a')).toBe(weights('a'));
    expect(weights.traced().map(({ name, tensor }) => [name, tensor.shape.map((dim) => dim.size)])).toEqual([
      ['a', [2, 3]],
    ]);
    expect(() => weights('c')).toThrow('c: expected a weight of this architecture; got none of that name');
  });

  it('gives the linear layer of a module, within another too, with its bias where it has one', () => {
    const weights = weightInputs(
      ['a.b.weight', 'a.b.bias', 'a.c.weight'].map((name) => ({
        name,
        sizes: name.endsWith('bias') ? { out: 2 } : { out: 2, width: 3 },
      })),
    );
    const [own, other] = ['b', 'c'].map(within(weights, 'a').linear);
    expect(own).toEqual({ weight: weights('a.b.weight'), bias: weights('a.b.bias') });
    expect(other).toEqual({ weight: within(weights, 'a')('c.weight') });
    expect(() => weights.linear('a')).toThrow(
      'a.weight: expected a weight of this architecture; got none of that name',
    );
  });
});
