import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { DataError } from '../../src/errors.js';
import { folderTensors, writeSafetensors, type StoredTensor } from '../../src/io/safetensors.js';
import { inspectPolicy, readPolicyConfig } from '../../src/models/policies.js';
import { readSam2Config } from '../../src/models/sam2/config.js';
import { inspectSam2 } from '../../src/models/sam2/inspect.js';
import { openSam2 } from '../../src/models/sam2/segmenter.js';
import { fixturesFolder } from '../golden/golden.js';
import { open } from './vlm/opened.js';

const tiny = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');
const tied = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl-tied-bf16');
const sam = join(fixturesFolder(), 'segmenter', 'tiny-128');
const use = { frame: 56, group: 1, maxTokens: 8, prompts: 1, precision: 'float32', device: 'cpu' } as const;

let scratch: string;
beforeAll(async () => (scratch = await mkdtemp(join(tmpdir(), 'segr1-numbers-'))));
afterAll(() => rm(scratch, { recursive: true }));

async function copied(base: string): Promise<string> {
  const dir = await mkdtemp(join(scratch, 'm-'));
  await cp(base, dir, { recursive: true });
  return dir;
}

/** A copy whose configuration says something else. */
async function saying(base: string, path: string, value: unknown): Promise<string> {
  const dir = await copied(base);
  const file = join(dir, 'config.json');
  const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  const keys = path.split('.');
  const last = keys.pop() as string;
  let at = config;
  for (const key of keys) at = at[key] as Record<string, unknown>;
  at[last] = value;
  await writeFile(file, JSON.stringify(config));
  return dir;
}

/** Adds tensors, or replaces those of their names. */
async function withTensors(dir: string, others: readonly StoredTensor[]): Promise<void> {
  const tensors = await folderTensors(dir);
  const kept = tensors.names.filter((name) => !others.some((other) => other.name === name));
  const read = await Promise.all(
    kept.map(async (name): Promise<StoredTensor> => {
      const { shape, dtype } = tensors.info(name);
      return { name, shape, dtype: dtype as 'F32', data: await tensors.read(name) };
    }),
  );
  await writeSafetensors(join(dir, 'model.safetensors'), [...read, ...others]);
}

const stray = (name: string): StoredTensor => ({ name, shape: [2], dtype: 'F32', data: Float32Array.of(1, 2) });

describe('a policy’s configuration beside its weights', () => {
  it.each([
    ['num_hidden_layers', 1e9, 'expected 1 to 1000 layers; got 1000000000'],
    ['num_hidden_layers', 4, 'expected at most 3, as the weights have it; got 4'],
    ['num_attention_heads', 1e9, 'expected a divisor of hidden_size 64; got 1000000000'],
    ['num_key_value_heads', 4, 'expected 2, as the weights have it; got 4'],
    ['vocab_size', 1e15, 'expected 704, as the weights have it; got 1000000000000000'],
    ['intermediate_size', 1e9, 'expected 112, as the weights have it; got 1000000000'],
    ['rms_norm_eps', 1e300, 'expected a number from 0 to 1; got 1e+300'],
    ['rope_theta', 1e300, 'expected a positive number that float32 holds; got 1e+300'],
    ['vision_config.depth', 900, 'expected at most 3, as the weights have it; got 900'],
    ['vision_config.hidden_size', 1e9, 'expected 32, as the weights have it; got 1000000000'],
    ['vision_config.intermediate_size', 1e9, 'expected 52, as the weights have it; got 1000000000'],
    ['vision_config.patch_size', 28, 'expected 14, as the weights have it; got 28'],
    ['vision_config.spatial_merge_size', 4, 'expected 2, as the weights have it; got 4'],
  ])('is refused by the key %s of %d', async (path, value, message) => {
    const dir = await saying(tiny, path, value);
    if (path === 'vision_config.patch_size' || path === 'vision_config.spatial_merge_size')
      await rm(join(dir, 'preprocessor_config.json')).then(() =>
        writeFile(join(dir, 'preprocessor_config.json'), '{}'),
      );
    await expect(readPolicyConfig(dir)).rejects.toThrow(`${join(dir, 'config.json')}  ${path}: ${message}`);
  });

  it('may leave out layers, which are named then', async () => {
    const dir = await saying(tiny, 'num_hidden_layers', 2);
    const { unused } = (await inspectPolicy(dir, use)) as { unused: readonly string[] };
    expect(unused).toHaveLength(12);
    expect(unused.every((name) => name.startsWith('model.layers.2.'))).toBe(true);
  });

  it('names stored tensors that nothing uses, as it opens and as it is inspected', async () => {
    const dir = await copied(tiny);
    await withTensors(
      dir,
      ['a', 'b', 'c', 'd'].map((name) => stray(`extra.${name}`)),
    );
    const heard: string[] = [];
    await open({ train: 'none', notice: (text) => heard.push(text) }, dir);
    expect(heard).toEqual([`${dir}  weights: tensors that are not used: extra.a, extra.b, extra.c and 1 more`]);
    expect(await inspectPolicy(dir, use)).toMatchObject({ unused: ['extra.a', 'extra.b', 'extra.c', 'extra.d'] });
  });

  // transformers 5.24, PreTrainedModel.tie_weights: tied only if both are equal.
  it('has a head of its own where one is stored with other values than the table, whatever it says', async () => {
    const dir = await copied(tied);
    const tensors = await folderTensors(dir);
    const table = tensors.names.find((name) => name.endsWith('embed_tokens.weight')) as string;
    const { shape, dtype } = tensors.info(table);
    const data = await tensors.read(table);
    const head = { name: 'lm_head.weight', shape, dtype: dtype as 'BF16', data };
    expect((await readPolicyConfig(dir)).text.tied).toBe(true);
    await withTensors(dir, [head]);
    expect((await readPolicyConfig(dir)).text.tied).toBe(true);
    expect(await inspectPolicy(dir, use)).toMatchObject({ tied: true, unused: [] });
    await withTensors(dir, [{ ...head, data: data.map((value, i) => (i === 7 ? value + 1 : value)) }]);
    expect((await readPolicyConfig(dir)).text.tied).toBe(false);
    expect(await inspectPolicy(dir, use)).toMatchObject({ tied: false, unused: [] });
  });

  it.each([NaN, Infinity, -Infinity])('opens with no %d among its weights', async (value) => {
    for (const train of ['none', 'full'] as const)
      for (const base of [tiny, tied]) {
        const dir = await copied(base);
        const tensors = await folderTensors(dir);
        const { file, offset, dtype } = tensors.info(tensors.names.at(-1) as string);
        const bytes = await readFile(file);
        if (dtype === 'F32') bytes.writeFloatLE(value, offset + 4);
        else bytes.writeUInt16LE(Number.isNaN(value) ? 0x7fc0 : value > 0 ? 0x7f80 : 0xff80, offset + 2);
        await writeFile(file, bytes);
        await expect(open({ train }, dir)).rejects.toThrow(/\.safetensors {2}tensor ".*": expected finite numbers/);
      }
  });
});

describe('a SAM 2.1’s configuration beside its weights', () => {
  const backbone = 'vision_config.backbone_config';
  it.each([
    [`${backbone}.blocks_per_stage`, [1e9, 1, 1, 1], 'blocks_per_stage.0: expected 1 to 1000 blocks'],
    [`${backbone}.blocks_per_stage`, [1, 2, 900, 1], 'blocks_per_stage in all: expected at most 8, as the weights'],
    [`${backbone}.mlp_ratio`, 1e12, 'mlp_ratio: expected 32, as the weights have it; got 8000000000000'],
    [`${backbone}.image_size`, 1_048_576, 'image_size: expected at most 8192 px; got 1048576'],
    [`${backbone}.layer_norm_eps`, 1e300, 'layer_norm_eps: expected a number from 0 to 1'],
    [`${backbone}.num_attention_heads_per_stage`, [1e9, 1, 1, 1], 'expected multiples of [1000000000,1,1,1]'],
    ['prompt_encoder_config.mask_input_channels', 4e8, 'expected 16, as the weights have it; got 400000000'],
    ['mask_decoder_config.mlp_dim', 1e12, 'mlp_dim: expected 40, as the weights have it'],
    ['mask_decoder_config.iou_head_depth', 1e9, 'iou_head_depth: expected 2 to 1000'],
    ['mask_decoder_config.iou_head_depth', 900, 'iou_head_depth less 2: expected at most 1, as the weights'],
    ['mask_decoder_config.iou_head_hidden_dim', 1e9, 'iou_head_hidden_dim: expected 24, as the weights have it'],
  ])('is refused by the key %s of %j', async (path, value, message) => {
    const dir = await saying(sam, path, value);
    await expect(readSam2Config(dir)).rejects.toThrow(`${join(dir, 'config.json')}  `);
    await expect(readSam2Config(dir)).rejects.toThrow(message);
  });

  // transformers 5.24: Sam2VisionConfig and the others take null for their defaults.
  it('has defaults where it is null', async () => {
    const dir = await saying(sam, 'quantization_config', null);
    const file = join(dir, 'config.json');
    const config = JSON.parse(await readFile(file, 'utf8')) as Record<string, Record<string, unknown>>;
    const before = await readSam2Config(dir);
    Object.assign(config['vision_config'], { fpn_top_down_levels: null, num_feature_levels: null });
    Object.assign(config['mask_decoder_config'], { dynamic_multimask_stability_thresh: null, hidden_act: null });
    await writeFile(file, JSON.stringify(config));
    expect(await readSam2Config(dir)).toEqual(before);
  });

  // transformers 5.24, Sam2PreTrainedModel: a video model's memory is no surprise.
  it('names stored tensors that nothing uses but for a video model’s memory', async () => {
    const dir = await copied(sam);
    await withTensors(dir, [stray('memory_encoder.fuser.0'), stray('extra.head')]);
    expect(await inspectSam2(dir, { prompts: 1 })).toMatchObject({ unused: ['extra.head'] });
    const heard: string[] = [];
    await (await openSam2({ checkpoint: dir }, (text) => heard.push(text))).release();
    expect(heard).toEqual([`${dir}  weights: tensors that are not used: extra.head`]);
  });

  it('gives no mask of logits that are none', async () => {
    const dir = await copied(sam);
    const name = 'vision_encoder.neck.convs.2.bias';
    const { shape } = (await folderTensors(dir)).info(name);
    const data = new Float32Array(shape[0]).fill(3e38);
    await withTensors(dir, [{ name, shape, dtype: 'F32', data }]);
    const segmenter = await openSam2({ checkpoint: dir });
    const frame = { width: 32, height: 32 };
    const image = { ...frame, data: new Uint8Array(3 * 32 * 32) };
    const prompts = [{ frame, objects: [{ box: [4, 4, 20, 20] as const, points: [] }] }];
    await expect(segmenter.segment({ image, prompts, frame })).rejects.toThrow(DataError);
    await segmenter.release();
  });

  it('opens with no NaN among its weights', async () => {
    const dir = await copied(sam);
    const file = join(dir, 'model.safetensors');
    const bytes = await readFile(file);
    bytes.writeFloatLE(NaN, bytes.length - 8);
    await writeFile(file, bytes);
    await expect(openSam2({ checkpoint: dir })).rejects.toThrow('expected finite numbers');
  });
});
