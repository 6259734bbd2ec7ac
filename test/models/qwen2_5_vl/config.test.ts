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
    ['a missing key', { hidden_size: undefined }, 'hidden_size: expected a positive integer; got nothing'],
    ['a text for a number', { vocab_size: '704' }, 'vocab_size: expected a positive integer; got "704"'],
    [
      'sections that do not fill a head',
      { rope_scaling: { mrope_section: [2, 2, 2] } },
      'mrope_section: expected a sum of half the head width, 8; got [2,2,2]',
    ],
    ['no vision tower', { vision_config: undefined }, 'vision_config: expected an object; got nothing'],
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
