import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { maskIou } from '../../../src/io/mask.js';
import { resize } from '../../../src/io/resize.js';
import { folderTensors, writeSafetensors } from '../../../src/io/safetensors.js';
import { openSam2, Sam2Options } from '../../../src/models/sam2/segmenter.js';
import type { Image, Prompt } from '../../../src/records.js';
import { fixturesFolder } from '../../golden/golden.js';
import { drawn } from '../drawn.js';
import { behavesAsSegmenter } from '../segmenter-behaviour.js';

const checkpoint = join(fixturesFolder(), 'segmenter', 'tiny-128');

behavesAsSegmenter('SAM 2.1', (threads) => openSam2({ checkpoint, workers: threads, threads: 1 }), false);

const frame = { width: 112, height: 112 };
const image = drawn('disc', 150, 90);
const prompts: Prompt[] = [{ frame, objects: [{ box: [20, 30, 80, 90], points: [{ x: 50, y: 60, label: 1 }] }] }];

async function cut(options: Partial<Sam2Options>, of: Image = image, asked = prompts) {
  const segmenter = await openSam2({ checkpoint, threads: 1, ...options });
  const masks = await segmenter.segment({ image: of, prompts: asked, frame });
  await segmenter.release();
  return masks;
}

describe('openSam2', () => {
  it('shows the image as it is stored, or stretched to the frame first', async () => {
    const twice = await cut({ legacy: { frame: true } });
    expect(twice).toEqual(await cut({}, resize(image, frame)));
    expect(twice).not.toEqual(await cut({}));
  });
  it('swaps channels where asked', async () => {
    const swapped = { ...image, data: image.data.map((_, i) => image.data[i - (i % 3) + 2 - (i % 3)]) };
    expect(await cut({ legacy: { channelSwap: true } })).toEqual(await cut({}, swapped));
    expect(await cut({ legacy: { channelSwap: true } })).not.toEqual(await cut({}));
  });
  it('says which pixels it looks at, and names what changes a mask', async () => {
    const opened = await Promise.all([
      openSam2({ checkpoint }),
      openSam2({ checkpoint, multimask: true, cacheMegabytes: 1, legacy: { frame: true, channelSwap: true } }),
    ]);
    await Promise.all(opened.map((one) => one.release()));
    expect(opened.map(({ name, looksAt }) => [name, looksAt])).toEqual([
      ['sam2/tiny-128', 'original'],
      ['sam2/tiny-128/multimask/frame/channelSwap', 'frame'],
    ]);
  });
  it('turns the same place in another frame into the same mask', async () => {
    const wider: Prompt = {
      frame: { width: 224, height: 56 },
      objects: [{ box: [40, 15, 160, 45], points: [{ x: 100, y: 30, label: 1 }] }],
    };
    expect(await cut({}, image, [wider])).toEqual(await cut({}));
  });
  it('leaves out points that are neither object nor background, and objects with a place that is no number', async () => {
    const [{ box, points }] = prompts[0].objects as [Prompt['objects'][number]];
    const odd = [...points, { x: 50, y: 50, label: 2 as 1 }];
    const broken = { box: [20, NaN, 80, 90] as const, points: [] };
    expect(await cut({}, image, [{ frame, objects: [broken, { ...(box ? { box } : {}), points: odd }] }])).toEqual(
      await cut({}),
    );
  });
  it('answers many prompts as it answers each', async () => {
    const many: Prompt[] = Array.from({ length: 11 }, (_, i) => ({
      frame,
      objects: [
        {
          box: [4 + i, 10, 60 + 4 * i, 100 - 3 * i],
          points: Array.from({ length: i % 5 }, (__, n) => ({ x: 30 + 4 * n, y: 40 + n, label: (n % 2) as 0 | 1 })),
        },
      ],
    }));
    const segmenter = await openSam2({ checkpoint, threads: 1 });
    const together = await segmenter.segment({ image, prompts: many, frame });
    for (const [i, one] of many.entries()) {
      const [alone] = await segmenter.segment({ image, prompts: [one], frame });
      expect(maskIou(together[i] as typeof alone & object, alone as typeof alone & object)).toBeGreaterThan(0.999);
    }
    await segmenter.release();
  });
  it('gives the same masks without a cache', async () => {
    expect(await cut({ cacheMegabytes: 0 })).toEqual(await cut({}));
  });
  it('refuses options it does not know', () => {
    expect(() => Sam2Options.parse({ checkpoint, size: 64 })).toThrow('size');
  });
});

describe('a checkpoint that is not one', () => {
  let folder: string;
  const change = async (file: string, edit: (json: Record<string, never>) => void): Promise<void> => {
    const json = JSON.parse(await readFile(join(checkpoint, file), 'utf8')) as Record<string, never>;
    edit(json);
    await writeFile(join(folder, file), JSON.stringify(json));
  };
  const without = async (
    named: string,
    replaced?: { readonly shape: readonly number[]; readonly data: Float32Array },
  ): Promise<void> => {
    const tensors = await folderTensors(checkpoint);
    const all = await Promise.all(
      tensors.names.map(async (name) => ({
        name,
        dtype: 'F32' as const,
        shape: tensors.info(name).shape,
        data: await tensors.read(name),
      })),
    );
    const kept = all.flatMap((one) => (one.name === named ? (replaced ? [{ ...one, ...replaced }] : []) : [one]));
    await writeSafetensors(join(folder, 'model.safetensors'), kept);
  };
  beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'sam2-'))));
  afterAll(() => rm(folder, { recursive: true }));

  it.each([
    [
      'another architecture',
      'config.json',
      (json: never) => Object.assign(json, { model_type: 'sam' }),
      'config.json  model_type: expected "sam2" or "sam2_video"; got "sam"',
    ],
    [
      'another activation',
      'config.json',
      (json: { mask_decoder_config: object }) => Object.assign(json.mask_decoder_config, { num_multimask_outputs: 4 }),
      'mask_decoder_config.num_multimask_outputs: expected 3; got 4',
    ],
    [
      'sizes that disagree',
      'preprocessor_config.json',
      (json: never) => Object.assign(json, { size: { height: 64, width: 64 } }),
      "preprocessor_config.json  size: expected the model's 128×128; got 64×64",
    ],
    [
      'a deviation by which float32 overflows',
      'preprocessor_config.json',
      (json: never) => Object.assign(json, { image_std: [1e-45, 1, 1] }),
      'preprocessor_config.json  image_std.0: expected a number from 0.001 to 1000; got 1e-45',
    ],
  ])('is refused for %s', async (_, file, edit, message) => {
    await cp(checkpoint, folder, { recursive: true, force: true });
    await change(file, edit as never);
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(message);
  });
  it('is refused without a tensor, or with one of another shape', async () => {
    await cp(checkpoint, folder, { recursive: true, force: true });
    await without('mask_decoder.iou_token.weight');
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(
      /sam2-\w+ {2}mask_decoder\.iou_token\.weight: expected a tensor of that name; got none among \d+$/,
    );
    await without('mask_decoder.iou_token.weight', { shape: [1, 8], data: new Float32Array(8) });
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(
      /model\.safetensors {2}mask_decoder\.iou_token\.weight: expected shape \[1, 24\]; got \[1, 8\]$/,
    );
  });
  it('is refused where only a pickle lies, with the way out', async () => {
    await cp(checkpoint, folder, { recursive: true, force: true });
    await rm(join(folder, 'model.safetensors'));
    await writeFile(join(folder, 'sam2.1_hiera_tiny.pt'), '');
    await expect(openSam2({ checkpoint: folder })).rejects.toThrow(
      /expected model\.safetensors with config\.json; got sam2\.1_hiera_tiny\.pt, a pickle .*; way out: /,
    );
  });
  it('is opened as a video model, whose memory is left alone', async () => {
    await cp(checkpoint, folder, { recursive: true, force: true });
    await change('config.json', (json) => Object.assign(json, { model_type: 'sam2_video', num_maskmem: 7 }));
    const tensors = await folderTensors(checkpoint);
    const all = await Promise.all(
      tensors.names.map(async (name) => ({
        name,
        dtype: 'F32' as const,
        shape: tensors.info(name).shape,
        data: await tensors.read(name),
      })),
    );
    await writeSafetensors(join(folder, 'model.safetensors'), [
      ...all,
      { name: 'memory_encoder.projection.bias', dtype: 'F32', shape: [4], data: new Float32Array(4) },
    ]);
    expect(await cut({ checkpoint: folder })).toEqual(await cut({}));
  });
});
