import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { ModelError } from '../../../src/errors.js';
import { readConfig } from '../../../src/models/qwen2_5_vl/architecture.js';
import { fixturesFolder } from '../../golden/golden.js';

type Json = Record<string, unknown>;

const tiny = join(fixturesFolder(), 'policy', 'tiny-qwen2_5_vl');
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'segr1-config-'));
  for (const name of ['config.json', 'generation_config.json', 'preprocessor_config.json'])
    await cp(join(tiny, name), join(folder, name));
});
afterEach(() => rm(folder, { recursive: true }));

describe('readConfig', () => {
  it('reads the released flat form', async () => {
    const config = await readConfig(folder);
    expect(config.text).toMatchObject({
      vocab: 704,
      hidden: 64,
      layers: 3,
      heads: 4,
      kvHeads: 2,
      headDim: 16,
      ropeTheta: 1e6,
      mropeSection: [2, 3, 3],
      positions: 128_000,
      tied: false,
    });
    expect(config.vision).toMatchObject({
      depth: 3,
      hidden: 32,
      heads: 2,
      patch: 14,
      merge: 2,
      temporalPatch: 2,
      window: 112,
      fullAttention: [2],
      outHidden: 64,
      wallpaper: false,
    });
    expect(config.tokens).toEqual({
      image: 668,
      video: 669,
      visionStart: 665,
      visionEnd: 666,
      reserved: [668, 669, 665, 666],
      eos: [658, 656],
      pad: 656,
    });
    expect(config).toMatchObject({ minPixels: 3136, maxPixels: 12_845_056 });
  });

  it('reads the same from the newer nested form', async () => {
    const flat = await readConfig(folder);
    await edit(
      'config.json',
      ({
        vision_config,
        image_token_id,
        video_token_id,
        vision_start_token_id,
        vision_end_token_id,
        model_type,
        rope_scaling,
        rope_theta,
        ...text
      }) => ({
        model_type,
        image_token_id,
        video_token_id,
        vision_start_token_id,
        vision_end_token_id,
        vision_config,
        text_config: {
          ...text,
          model_type: 'qwen2_5_vl_text',
          rope_parameters: { ...(rope_scaling as Json), rope_theta },
        },
      }),
    );
    await edit('preprocessor_config.json', ({ min_pixels, max_pixels, ...rest }) => ({
      ...rest,
      size: { shortest_edge: min_pixels, longest_edge: max_pixels },
    }));
    expect(await readConfig(folder)).toEqual(flat);
  });

  it('reads the same as transformers 4.52 to 4.57 save it: twice, and with nulls', async () => {
    const flat = await readConfig(folder);
    await edit('config.json', ({ vision_config, tie_word_embeddings, ...text }) => {
      const rope_scaling = { ...(text['rope_scaling'] as Json), rope_type: 'default', type: 'default' };
      return {
        ...text,
        rope_scaling,
        quantization_config: null,
        text_config: {
          ...text,
          rope_scaling,
          tie_word_embeddings,
          model_type: 'qwen2_5_vl_text',
          image_token_id: null,
          video_token_id: null,
          head_dim: null,
          sliding_window: null,
          use_sliding_window: null,
          layer_types: Array.from({ length: 3 }, () => 'full_attention'),
          vision_start_token_id: 1,
        },
        vision_config: {
          ...(vision_config as Json),
          model_type: 'qwen2_5_vl',
          in_channels: 3,
          temporal_patch_size: null,
        },
      };
    });
    await edit('preprocessor_config.json', (json) => ({ ...json, size: null, resample: 3, do_pad: null }));
    await edit('generation_config.json', (json) => ({ ...json, temperature: null }));
    expect(await readConfig(folder)).toEqual(flat);
  });

  // transformers 5.24: Qwen2_5_VLConfig, its text and vision configurations, Qwen2VLImageProcessor.
  it("has transformers' defaults where a file says nothing", async () => {
    await edit('config.json', (json) => ({
      ...json,
      image_token_id: undefined,
      rms_norm_eps: undefined,
      rope_theta: undefined,
      vocab_size: 152_064,
      rope_scaling: null,
      head_dim: 128,
      vision_config: { depth: 3, hidden_size: 64, num_heads: 2, out_hidden_size: 64 },
    }));
    await edit('preprocessor_config.json', () => ({ image_mean: null }));
    expect(await readConfig(folder)).toMatchObject({
      text: { eps: 1e-5, ropeTheta: 1e6, mropeSection: [16, 24, 24] },
      vision: { patch: 14, merge: 2, window: 112, fullAttention: [7, 15, 23, 31], intermediate: 3420 },
      tokens: { image: 151_655 },
      minPixels: 56 * 56,
      maxPixels: 28 * 28 * 1280,
      mean: [0.48145466, 0.4578275, 0.40821073],
      std: [0.26862954, 0.26130258, 0.27577711],
    });
  });

  it('reads positions where their key is older or newer, the older first', async () => {
    const theta = async (keys: Json): Promise<number> => {
      await edit('config.json', (json) => ({ ...json, rope_scaling: undefined, rope_parameters: undefined, ...keys }));
      return (await readConfig(folder)).text.ropeTheta;
    };
    const rope = (rope_theta: number): Json => ({ mrope_section: [2, 3, 3], rope_type: 'default', rope_theta });
    expect(await theta({ rope_parameters: rope(2e6) })).toBe(2e6);
    expect(await theta({ rope_scaling: {}, rope_parameters: rope(2e6) })).toBe(2e6);
    expect(await theta({ rope_scaling: rope(3e6), rope_parameters: rope(2e6) })).toBe(3e6);
    expect(await theta({ rope_parameters: rope(2e6), text_config: { rope_parameters: rope(4e6) } })).toBe(4e6);
  });

  // transformers 5.24: the inner true counts where the outer key is absent or false.
  it.each([
    [undefined, true, true],
    [false, true, true],
    [true, false, true],
    [null, null, false],
  ])('ties the head where either place says so: %s and %s', async (outer, inner, tied) => {
    await edit('config.json', (json) => ({
      ...json,
      tie_word_embeddings: outer,
      text_config: { tie_word_embeddings: inner },
    }));
    expect((await readConfig(folder)).text.tied).toBe(tied);
  });

  it.each([
    ['do_resize', false],
    ['do_normalize', false],
    ['resample', 2],
    ['rescale_factor', 1],
    ['patch_size', 16],
    ['merge_size', 4],
    ['image_std', [0, 1, 1]],
    ['image_std', [1e-45, 1, 1]],
    ['image_mean', [1e39, 0, 0]],
    ['min_pixels', 1e12],
  ])('refuses an image processor of another %s: %j', async (key, value) => {
    await edit('preprocessor_config.json', (json) => ({ ...json, max_pixels: 1e13, [key]: value }));
    await expect(readConfig(folder)).rejects.toThrow(`preprocessor_config.json  ${key}`);
  });

  it('refuses JSON that is nested without end', async () => {
    await writeFile(join(folder, 'config.json'), `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`);
    await expect(readConfig(folder)).rejects.toThrow(
      'config.json  checkpoint: expected JSON; got more than 100 objects and lists in each other',
    );
  });

  it("takes the image processor out of processor_config.json, and the model's own end where generation says nothing", async () => {
    const flat = await readConfig(folder);
    await writeFile(
      join(folder, 'processor_config.json'),
      JSON.stringify({ image_processor: JSON.parse(await readFile(join(folder, 'preprocessor_config.json'), 'utf8')) }),
    );
    await rm(join(folder, 'preprocessor_config.json'));
    await rm(join(folder, 'generation_config.json'));
    expect(await readConfig(folder)).toEqual({ ...flat, tokens: { ...flat.tokens, eos: [658] } });
  });

  it('knows the wallpaper of our own models', async () => {
    await edit('config.json', (config) => ({ ...config, segr1: { wallpaper: true } }));
    expect((await readConfig(folder)).vision.wallpaper).toBe(true);
  });

  it.each([
    [
      'quantized weights',
      { quantization_config: { bits: 4 } },
      'quantization_config: expected no quantization: f32, f16 or bf16 weights; got {"bits":4}',
    ],
    [
      'no number of heads',
      { num_attention_heads: 5 },
      'num_attention_heads: expected a divisor of hidden_size 64; got 5',
    ],
    [
      'positions that are scaled',
      { rope_scaling: { type: 'yarn', factor: 4, mrope_section: [2, 3, 3] } },
      'rope_scaling.type: expected "default" or "mrope", without scaling; got "yarn"',
    ],
    [
      'windows of attention',
      { use_sliding_window: true, max_window_layers: 1 },
      'use_sliding_window: expected false, or max_window_layers of 3 layers; got true and 1',
    ],
    [
      'windows in some layers',
      { layer_types: ['full_attention', 'sliding_attention'] },
      'layer_types.1: expected "full_attention" everywhere; got "sliding_attention"',
    ],
    [
      'more layers than there are names',
      { num_hidden_layers: 1e9 },
      'num_hidden_layers: expected 1 to 1000 layers; got 1000000000',
    ],
    [
      'an image token without a row',
      { image_token_id: 704 },
      'image_token_id: expected an id below vocab_size 704; got 704',
    ],
    ['a text for a number', { vocab_size: '704' }, 'vocab_size: expected a positive integer; got "704"'],
    [
      'sections that do not fill a head',
      { rope_scaling: { mrope_section: [2, 2, 2] } },
      'mrope_section: expected a sum of half the head width, 8; got [2,2,2]',
    ],
    // transformers 5.24 takes its default tower.
    ['no vision tower', { vision_config: null }, 'vision_config.out_hidden_size: expected hidden_size 64; got 3584'],
    ['an unknown key of ours', { segr1: { wallpapers: true } }, 'segr1'],
    [
      'another width of image tokens',
      { hidden_size: 128, head_dim: 16 },
      'vision_config.out_hidden_size: expected hidden_size 128; got 64',
    ],
  ])('refuses %s', async (_, change, message) => {
    await edit('config.json', (config) => ({ ...config, ...change }));
    await expect(readConfig(folder)).rejects.toThrow(ModelError);
    await expect(readConfig(folder)).rejects.toThrow(`${join(folder, 'config.json')}  ${message}`);
  });

  it('refuses a folder without config.json, and one that holds no JSON', async () => {
    await rm(join(folder, 'preprocessor_config.json'));
    await expect(readConfig(folder)).rejects.toThrow(
      'preprocessor_config.json  checkpoint: expected a readable file; got ENOENT',
    );
    await writeFile(join(folder, 'config.json'), '{');
    await expect(readConfig(folder)).rejects.toThrow('config.json  checkpoint: expected JSON; got');
  });
});

async function edit(name: string, change: (json: Json) => Json): Promise<void> {
  const path = join(folder, name);
  await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')))));
}
