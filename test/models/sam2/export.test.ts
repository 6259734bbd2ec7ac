import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { maskIou } from '../../../src/io/mask.js';
import { openSam2 } from '../../../src/models/sam2/segmenter.js';
import type { Inspected } from '../../../src/models/segmenter.js';
import type { Prompt, PromptObject } from '../../../src/records.js';
import { fixturesFolder } from '../../golden/golden.js';
import { drawn } from '../drawn.js';
import { writeExport, type Shape } from './exported.js';

const checkpoint = join(fixturesFolder(), 'segmenter', 'tiny-128');
const frame = { width: 150, height: 90 };
const image = drawn('two', 150, 90);

async function inspected(
  folder: string,
  objects: readonly PromptObject[],
): Promise<{ readonly name: string; readonly found: Inspected }> {
  const segmenter = await openSam2({ checkpoint: folder, multimask: true, threads: 1 });
  const prompt: Prompt = { frame, objects };
  const [found] = (await segmenter.inspect!({ image, prompts: [prompt], frame })) as [Inspected];
  await segmenter.release();
  return { name: segmenter.name, found };
}

describe('an export to ONNX', () => {
  let root: string;
  beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'sam2-export-'))));
  afterAll(() => rm(root, { recursive: true }));
  const exported = async (shape: Shape): Promise<string> => {
    const folder = await mkdtemp(join(root, 'tiny-'));
    await writeExport(checkpoint, folder, shape);
    return folder;
  };

  it.each<[string, Shape, PromptObject[]]>([
    [
      'boxes',
      { points: 0, boxes: 1 },
      [
        { box: [30, 20, 90, 80], points: [] },
        { box: [100, 5, 140, 45], points: [] },
      ],
    ],
    [
      'points',
      { points: 2, boxes: 0 },
      [
        {
          points: [
            { x: 60, y: 50, label: 1 },
            { x: 5, y: 5, label: 0 },
          ],
        },
      ],
    ],
    [
      'boxes with a point in each',
      { points: 1, boxes: 1 },
      [
        {
          box: [30, 20, 90, 80],
          points: [
            { x: 60, y: 50, label: 1 },
            { x: 120, y: 20, label: 1 },
          ],
        },
        { box: [90, 80, 30, 20], points: [{ x: 70, y: 60, label: 0 }] },
      ],
    ],
  ])('answers %s with the best of three, as its checkpoint does', async (_, shape, objects) => {
    const folder = await exported(shape);
    const [ours, theirs] = [await inspected(checkpoint, objects), await inspected(folder, objects)];
    expect(theirs.name).toMatch(/^sam2\/tiny-\w+\/onnx\/multimask$/);
    // The same sums in another order.
    expect(maskIou(theirs.found.mask, ours.found.mask)).toBeGreaterThan(0.999);
    for (const [i, judged] of theirs.found.objects.entries()) {
      expect(judged?.output).toBe(ours.found.objects[i]?.output);
      expect(judged?.iou).toBeCloseTo(ours.found.objects[i]!.iou, 5);
      expect(judged?.output).toBeGreaterThan(0);
    }
  });

  it('may have its files beside each other, and skips an object that is none', async () => {
    const folder = await exported({ points: 0, boxes: 1 });
    await rename(join(folder, 'onnx'), join(folder, 'flat'));
    for (const file of ['config.json', 'preprocessor_config.json'])
      await cp(join(folder, file), join(folder, 'flat', file));
    const { found } = await inspected(join(folder, 'flat'), [{ points: [] }, { box: [30, 20, 90, 80], points: [] }]);
    expect(found.objects.map((one) => one && one.output > 0)).toEqual([null, true]);
  });

  it('is refused where one of two graphs is missing, or none is in float32', async () => {
    const folder = await exported({ points: 0, boxes: 1 });
    const onnx = join(folder, 'onnx');
    await rename(join(onnx, 'prompt_encoder_mask_decoder.onnx'), join(onnx, 'prompt_encoder_mask_decoder_fp16.onnx'));
    const words = `${onnx}  checkpoint: expected vision_encoder.onnx and prompt_encoder_mask_decoder.onnx, both in float32; got prompt_encoder_mask_decoder_fp16.onnx, vision_encoder.onnx without prompt_encoder_mask_decoder.onnx`;
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(words);
  });

  it('is refused with the graphs of another model, or what is no graph', async () => {
    const folder = await exported({ points: 0, boxes: 1 });
    const [encoder, decoder] = ['vision_encoder', 'prompt_encoder_mask_decoder'].map((name) =>
      join(folder, 'onnx', `${name}.onnx`),
    ) as [string, string];
    const bytes = await readFile(encoder);
    await cp(decoder, encoder);
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(
      /vision_encoder\.onnx: expected the inputs pixel_values \(float32\); got .*input_boxes \(float32\)/,
    );
    await writeFile(encoder, bytes.subarray(0, 100));
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(
      /^sam2\/tiny-\w+ {2}open: expected it to work; got sam2 vision encoder: /,
    );
  });

  it('is refused without its image processor', async () => {
    const folder = await exported({ points: 0, boxes: 1 });
    await rm(join(folder, 'preprocessor_config.json'));
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(
      'preprocessor_config.json  checkpoint: expected a readable file',
    );
  });
});
