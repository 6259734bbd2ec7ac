import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { openSafetensors } from '../../../src/io/safetensors.js';
import { cellPositions, gridPositions } from '../../../src/models/sam2/position.js';
import { fixturesFolder } from '../../golden/golden.js';

const folder = join(fixturesFolder(), 'segmenter');
const [weights, probes] = await Promise.all([
  openSafetensors(join(folder, 'tiny-128', 'model.safetensors')),
  openSafetensors(join(folder, 'probes.safetensors')),
]);
const apart = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), a.length === b.length ? 0 : NaN);

// transformers' own tables for the checkpoint of the fixtures.
describe('positions', () => {
  it('of cells are a stretched table and a repeated one', async () => {
    const at = 'vision_encoder.backbone.pos_embed';
    const own = cellPositions(await weights.read(at), [7, 7], await weights.read(`${at}_window`), 8, 32);
    expect(apart(own, await probes.read('pos_embed'))).toBeLessThan(2e-6);
  });
  it('of the grid are sines and cosines of the middle of its cells', async () => {
    const own = gridPositions(await weights.read('shared_image_embedding.positional_embedding'), 8);
    const expected = await probes.read('image_pe');
    const width = own.length / 64;
    expect(
      apart(
        own,
        expected.map((_, i) => expected[(i % width) * 64 + Math.floor(i / width)]),
      ),
    ).toBeLessThan(5e-6);
  });
});
