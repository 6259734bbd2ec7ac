import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from 'vitest';

import { UsageError } from '../../src/errors.js';
import { inspectSegmenter, loadSegmenter, openSegmenter, SEGMENTERS } from '../../src/models/segmenters.js';
import { fixturesFolder } from '../golden/golden.js';
import { folder, refusal } from '../pipelines/files.js';

const BOXES = fileURLToPath(new URL('../fixtures/box-segmenter.mjs', import.meta.url));
const sam2 = join(fixturesFolder(), 'segmenter', 'tiny-128');

describe('a segmenter', () => {
  it('is found by its kind, its options filled in', async () => {
    expect(SEGMENTERS.map(({ name }) => name)).toEqual(['grabcut', 'sam2']);
    const segmenter = await openSegmenter({ kind: 'grabcut', size: 16 });
    expect(segmenter.name).toBe('grabcut/16/1/0.02');
    await segmenter.release();
  });

  it('is found by its module, whose options are its own', async () => {
    const frame = { width: 8, height: 6 };
    const segmenter = await openSegmenter({ module: BOXES, inset: 1 });
    const prompt = { frame, objects: [{ box: [1, 1, 5, 4], points: [] }] } as const;
    const [mask] = await segmenter.segment({
      image: { ...frame, data: new Uint8Array(144) },
      prompts: [prompt],
      frame,
    });
    expect([segmenter.name, mask]).toEqual(['boxes/1', { ...frame, counts: [14, 2, 4, 2, 4, 2, 20] }]);
  });

  it('is refused by an unknown kind, with those that are known', async () => {
    await expect(openSegmenter({ kind: 'sam9' })).rejects.toThrow(
      new UsageError('segmenter.kind: expected one of grabcut, sam2; got "sam9"'),
    );
  });

  it.each([
    ['none.mjs', 'export const x = 1;', 'expected one export made by defineSegmenter(…); got none in "none.mjs"'],
    [
      'two.mjs',
      `export { boxes as a, boxes as b } from ${JSON.stringify(BOXES)};`,
      'expected one export made by defineSegmenter(…); got 2 in "two.mjs"',
    ],
    ['broken.mjs', 'throw new Error("no luck")', 'expected a module that loads; got no luck in "broken.mjs"'],
  ])('is refused of %s', async (name, code, message) => {
    expect(await refusal(loadSegmenter(folder().file(name, code)))).toBe(message);
  });

  it('is looked at where its kind reads the folder', async () => {
    expect(await inspectSegmenter(sam2, { prompts: 1 })).toMatchObject({
      kind: 'segmenter',
      architecture: 'sam2',
      size: 128,
    });
    expect(await inspectSegmenter(join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl'), { prompts: 1 })).toBeUndefined();
  });
});
