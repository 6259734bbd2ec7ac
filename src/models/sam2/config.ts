import { join } from 'node:path';

import type { z } from 'zod';

import { ModelError, shown } from '../../errors.js';
import { check, isObject, readJson, withoutNulls, type Json } from '../checkpoint-json.js';
import { Backbone, Decoder, Kind, Pixels as PixelKeys, Prompts, Vision } from './config-keys.js';
import { agreesWithStored } from './stored.js';

/** Image preprocessing. */
export interface Pixels {
  /** Side of the input square, px. */
  readonly size: number;
  /** By channel, R G B, of values in [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** The numbers of a SAM 2.1 checkpoint that its graphs and image processing use; `size` is a multiple of 32. */
export interface Sam2Config extends Pixels {
  readonly stages: readonly Stage[];
  /** Blocks that attend to the whole image, counted over all stages. */
  readonly global: readonly number[];
  /** Sides of the table of positions that is stretched over the image. */
  readonly background: readonly [number, number];
  readonly mlpRatio: number;
  readonly epsilon: number;
  /** Width of everything after the backbone. */
  readonly width: number;
  readonly decoder: DecoderConfig;
  readonly maskPrompt: { readonly channels: number; readonly epsilon: number };
}

/** Blocks of one resolution; each stage but the first halves the sides. */
export interface Stage {
  readonly blocks: number;
  readonly width: number;
  readonly heads: number;
  /** Side of an attention window, in cells. */
  readonly window: number;
}

export interface DecoderConfig {
  readonly heads: number;
  readonly mlp: number;
  /** How much narrower attention to and from the image is. */
  readonly downsample: number;
  readonly iouDepth: number;
  readonly iouHidden: number;
  /** When the best of three replaces the single mask; undefined for never. */
  readonly stability: { readonly delta: number; readonly threshold: number } | undefined;
}

/**
 * Reads `config.json` and `preprocessor_config.json` of a checkpoint folder, of the image model or the video model.
 *
 * Other keys are ignored; those that are null or absent have transformers' defaults.
 *
 * @throws {ModelError} for another architecture, a missing file, an unusable value, or one that the weights contradict.
 */
export async function readSam2Config(dir: string): Promise<Sam2Config> {
  const file = join(dir, 'config.json');
  const config = withoutNulls(await readJson(file)) as Json;
  check(Kind, config, file);
  const vision = check(Vision, config['vision_config'] ?? {}, file, 'vision_config.');
  const backbone = check(Backbone, vision.backbone_config, file, 'vision_config.backbone_config.');
  const prompts = check(Prompts, config['prompt_encoder_config'] ?? {}, file, 'prompt_encoder_config.');
  const decoder = check(Decoder, config['mask_decoder_config'] ?? {}, file, 'mask_decoder_config.');
  const width = vision.fpn_hidden_size;
  const size = backbone.image_size;
  const agree = (key: string, got: unknown, expected: unknown): void => {
    if (JSON.stringify(got) !== JSON.stringify(expected))
      throw new ModelError(`${file}  ${key}: expected ${shown(expected)}, as the rest has it; got ${shown(got)}`);
  };
  agree('prompt_encoder_config.image_size', prompts.image_size, size);
  agree(
    'vision_config.backbone_feature_sizes',
    vision.backbone_feature_sizes,
    [4, 8, 16].map((stride) => [size / stride, size / stride]),
  );
  agree('vision_config.backbone_channel_list', vision.backbone_channel_list, backbone.embed_dim_per_stage.toReversed());
  agree('prompt_encoder_config.hidden_size', prompts.hidden_size, width);
  agree('mask_decoder_config.hidden_size', decoder.hidden_size, width);
  const stages = stagesOf(backbone, file);
  const { mean, std } = await readPixels(dir, size);
  const found: Sam2Config = {
    size,
    mean,
    std,
    stages,
    global: backbone.global_attention_blocks,
    background: backbone.window_positional_embedding_background_size,
    mlpRatio: backbone.mlp_ratio,
    epsilon: backbone.layer_norm_eps,
    width,
    decoder: decoderOf(decoder, file),
    maskPrompt: { channels: prompts.mask_input_channels, epsilon: prompts.layer_norm_eps },
  };
  await agreesWithStored(dir, found);
  return found;
}

function stagesOf(backbone: z.output<typeof Backbone>, file: string): Stage[] {
  const { image_size: size, window_size_per_stage: windows } = backbone;
  const stages = backbone.blocks_per_stage.map((blocks, i) => ({
    blocks,
    width: backbone.embed_dim_per_stage[i],
    heads: backbone.num_attention_heads_per_stage[i],
    window: windows[i],
  }));
  const where = `${file}  vision_config.backbone_config`;
  if (size % 32 !== 0 || (size / 4) % windows[0] !== 0)
    throw new ModelError(`${where}.image_size: expected a multiple of 32 and of 4 × ${windows[0]}; got ${size}`);
  for (const [i, { width, heads, window }] of stages.entries()) {
    if (width % heads !== 0)
      throw new ModelError(
        `${where}.embed_dim_per_stage: expected multiples of ${shown(backbone.num_attention_heads_per_stage)}; got ${shown(backbone.embed_dim_per_stage)}`,
      );
    if (i < 3 && window % 2 !== 0)
      throw new ModelError(
        `${where}.window_size_per_stage: expected even sides before the last; got ${shown(windows)}`,
      );
  }
  return stages;
}

function decoderOf(decoder: z.output<typeof Decoder>, file: string): DecoderConfig {
  const { hidden_size: width, attention_downsample_rate: downsample, num_attention_heads: heads } = decoder;
  if (width % 8 !== 0 || (width / downsample) % heads !== 0) {
    throw new ModelError(
      `${file}  mask_decoder_config.hidden_size: expected a multiple of 8 and of ${downsample} × ${heads}, for that many heads; got ${width}`,
    );
  }
  return {
    heads,
    mlp: decoder.mlp_dim,
    downsample,
    iouDepth: decoder.iou_head_depth,
    iouHidden: decoder.iou_head_hidden_dim,
    stability: decoder.dynamic_multimask_via_stability
      ? { delta: decoder.dynamic_multimask_stability_delta, threshold: decoder.dynamic_multimask_stability_thresh }
      : undefined,
  };
}

/**
 * Reads the image preprocessing from newer checkpoints' `processor_config.json`, or `preprocessor_config.json`.
 *
 * @param expected side of the square; default: the file's.
 * @throws {ModelError} for a missing file, an unusable value, another size.
 */
export async function readPixels(dir: string, expected?: number): Promise<Pixels> {
  let file = join(dir, 'processor_config.json');
  const inner = (await readJson(file, {}))['image_processor'];
  if (!isObject(inner)) file = join(dir, 'preprocessor_config.json');
  const source = isObject(inner) ? inner : await readJson(file);
  const {
    image_mean: mean,
    image_std: std,
    size: { height, width },
  } = check(PixelKeys, source, file);
  const size = expected ?? height;
  if (height !== size || width !== size)
    throw new ModelError(
      `${file}  size: expected ${expected === undefined ? 'a square' : `the model's ${size}×${size}`}; got ${width}×${height}`,
    );
  return { mean, std, size };
}
