import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { folderTensors } from '../../../src/io/safetensors.js';
import { readConfig } from '../../../src/models/qwen/config.js';
import { weightInputs, weightShapes } from '../../../src/models/qwen/weights.js';
import { fixturesFolder } from '../../golden/golden.js';

const checkpoint = (name: string): string => join(fixturesFolder(), 'policy', name);
const count = (sizes: readonly number[]): number => sizes.reduce((product, size) => product * size, 1);

describe('weightShapes', () => {
  it('names every tensor of a released checkpoint, with as many numbers', async () => {
    const tensors = await folderTensors(checkpoint('tiny-qwen2_5_vl'));
    const shapes = weightShapes(await readConfig(checkpoint('tiny-qwen2_5_vl')));
    expect(shapes.map(({ name }) => name).toSorted()).toEqual(tensors.names.toSorted());
    for (const { name, sizes } of shapes) expect([name, count(Object.values(sizes))]).toEqual([name, count(tensors.info(name).shape)]);
  });

  it('has no head of its own where the embedding table is the head', async () => {
    const names = weightShapes(await readConfig(checkpoint('tiny-qwen2_5_vl-tied-bf16'))).map(({ name }) => name);
    expect([names.includes('model.embed_tokens.weight'), names.includes('lm_head.weight')]).toEqual([true, false]);
  });
});

describe('weightInputs', () => {
  it('traces a weight once, however often it is used, and only what is used', () => {
    const weights = weightInputs([{ name: 'a', sizes: { out: 2, width: 3 } }, { name: 'b', sizes: { out: 2 } }]);
    expect(weights('a')).toBe(weights('a'));
    expect(weights.traced().map(({ name, tensor }) => [name, tensor.shape.map((dim) => dim.size)])).toEqual([['a', [2, 3]]]);
    expect(() => weights('c')).toThrow('c: expected a weight of this architecture; got none of that name');
  });
});
