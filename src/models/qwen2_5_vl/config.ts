import { join } from 'node:path';

import type { z } from 'zod';

import { ModelError, shown } from '../../errors.js';
import { check, isObject, readJson, withoutNulls, type Json } from '../checkpoint-json.js';
import { Ends, Own, Pixels, Text, Vision } from './config-keys.js';
import type { TextNumbers, TokenIds, VisionNumbers, VlmConfig } from '../vlm/architecture.js';

/** The numbers of a Qwen2.5-VL checkpoint that its graphs, tokenization and image processing use. */
export interface QwenConfig extends VlmConfig {
  readonly text: TextConfig;
  readonly vision: VisionConfig;
  readonly tokens: QwenTokenIds;
  /** Smallest and largest area after resizing, in pixels. */
  readonly minPixels: number;
  readonly maxPixels: number;
  /** By channel, R G B, of values in [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** The language model. */
export interface TextConfig extends TextNumbers {
  readonly intermediate: number;
  readonly ropeTheta: number;
  /** Rotary frequencies taken by time, height and width; they sum to `headDim / 2`. */
  readonly mropeSection: readonly [number, number, number];
}

/** The vision tower. */
export interface VisionConfig extends VisionNumbers {
  readonly intermediate: number;
  /** Width of a merged token: the language model's. */
  readonly outHidden: number;
  /**
   * The second temporal slot of a still image holds a fixed picture of positions, not the frame again (segr1's own
   * small models).
   */
  readonly wallpaper: boolean;
}

/** Ids with a meaning of their own. */
export interface QwenTokenIds extends TokenIds {
  readonly video: number;
  readonly visionStart: number;
  readonly visionEnd: number;
}

/**
 * Reads `config.json`, `generation_config.json` and `preprocessor_config.json` of a checkpoint folder.
 *
 * Takes the released flat form and the newer one with `text_config`; other keys are ignored. As in transformers a key
 * that is null or absent has its default, the ids stand at the top, and `tie_word_embeddings` counts where it is true.
 *
 * @throws {ModelError} for quantized weights, a missing file, a missing or unusable value.
 */
export async function readNumbers(dir: string): Promise<Omit<QwenConfig, 'architecture'>> {
  const file = join(dir, 'config.json');
  const config = withoutNulls(await readJson(file)) as Json;
  const own = check(Own, config, file);
  const nested = isObject(config['text_config']) ? config['text_config'] : {};
  const merged: Json = { ...config, ...nested, ...idsOf(config) };
  const source: Json = {
    ...merged,
    rope_scaling: ropeOf(nested) ?? ropeOf(config),
    tie_word_embeddings: [config, nested].some((part) => part['tie_word_embeddings'] === true),
  };
  const text = check(Text, source, file);
  const vision = check(Vision, config['vision_config'] ?? {}, file, 'vision_config.');
  return {
    text: textConfig(text, file),
    vision: visionConfig(vision, own.segr1.wallpaper, text.hidden_size, file),
    tokens: await tokenIds(dir, merged, file, text),
    ...(await pixels(dir, vision)),
    ...(own.segr1.prompt
      ? {
          prompt: {
            user: own.segr1.prompt.user,
            ...(own.segr1.prompt.system === undefined ? {} : { system: own.segr1.prompt.system }),
          },
        }
      : {}),
  };
}

/** The ids of images and videos at the top of a configuration. */
function idsOf(config: Json): Json {
  const ids = ['image_token_id', 'video_token_id', 'vision_start_token_id', 'vision_end_token_id'];
  return Object.fromEntries(ids.flatMap((key) => (key in config ? [[key, config[key]]] : [])));
}

/** The positions' keys by their older name or, without any there, by the newer one. */
function ropeOf(part: Json): unknown {
  const { rope_scaling: older, rope_parameters: newer } = part;
  return isObject(older) && Object.keys(older).length === 0 ? newer : (older ?? newer);
}

function textConfig(text: z.output<typeof Text>, file: string): TextConfig {
  const { num_hidden_layers: layers, max_window_layers: unbound } = text;
  if (text.use_sliding_window && text.layer_types === undefined && unbound < layers)
    throw new ModelError(
      `${file}  use_sliding_window: expected false, or max_window_layers of ${layers} layers; got true and ${unbound}`,
    );
  const headDim = text.head_dim ?? text.hidden_size / text.num_attention_heads;
  if (!Number.isInteger(headDim))
    throw new ModelError(
      `${file}  num_attention_heads: expected a divisor of hidden_size ${text.hidden_size}; got ${text.num_attention_heads}`,
    );
  const sections = text.rope_scaling.mrope_section;
  const sum = sections[0] + sections[1] + sections[2];
  if (2 * sum !== headDim)
    throw new ModelError(
      `${file}  mrope_section: expected a sum of half the head width, ${headDim / 2}; got ${shown(sections)}`,
    );
  if (text.num_attention_heads % text.num_key_value_heads !== 0) {
    throw new ModelError(
      `${file}  num_key_value_heads: expected a divisor of num_attention_heads ${text.num_attention_heads}; got ${text.num_key_value_heads}`,
    );
  }
  return {
    vocab: text.vocab_size,
    hidden: text.hidden_size,
    layers: text.num_hidden_layers,
    heads: text.num_attention_heads,
    kvHeads: text.num_key_value_heads,
    headDim,
    intermediate: text.intermediate_size,
    eps: text.rms_norm_eps,
    ropeTheta: text.rope_scaling.rope_theta ?? text.rope_theta,
    mropeSection: sections,
    positions: text.max_position_embeddings ?? Infinity,
    tied: text.tie_word_embeddings,
  };
}

function visionConfig(vision: z.output<typeof Vision>, wallpaper: boolean, width: number, file: string): VisionConfig {
  if (vision.hidden_size % (4 * vision.num_heads) !== 0) {
    throw new ModelError(
      `${file}  vision_config.hidden_size: expected a multiple of 4 × num_heads ${vision.num_heads}; got ${vision.hidden_size}`,
    );
  }
  if (vision.window_size % (vision.patch_size * vision.spatial_merge_size) !== 0) {
    throw new ModelError(
      `${file}  vision_config.window_size: expected a multiple of patch_size × spatial_merge_size; got ${vision.window_size}`,
    );
  }
  if (vision.out_hidden_size !== width)
    throw new ModelError(
      `${file}  vision_config.out_hidden_size: expected hidden_size ${width}; got ${vision.out_hidden_size}`,
    );
  return {
    depth: vision.depth,
    hidden: vision.hidden_size,
    heads: vision.num_heads,
    intermediate: vision.intermediate_size,
    patch: vision.patch_size,
    merge: vision.spatial_merge_size,
    temporalPatch: vision.temporal_patch_size,
    window: vision.window_size,
    fullAttention: vision.fullatt_block_indexes,
    outHidden: vision.out_hidden_size,
    wallpaper,
  };
}

/** Generation settings take precedence: released checkpoints list both end tokens only there. */
async function tokenIds(dir: string, config: Json, file: string, text: z.output<typeof Text>): Promise<QwenTokenIds> {
  const path = join(dir, 'generation_config.json');
  const generation = await readJson(path, {});
  const ends = generation['eos_token_id'] == null ? check(Ends, config, file) : check(Ends, generation, path);
  const other = ends.pad_token_id ?? config['pad_token_id'] ?? config['bos_token_id'];
  const pad = typeof other === 'number' ? other : (ends.eos_token_id.at(-1) as number);
  const meant = {
    image: text.image_token_id,
    video: text.video_token_id,
    visionStart: text.vision_start_token_id,
    visionEnd: text.vision_end_token_id,
  };
  const keys = ['image_token_id', 'video_token_id', 'vision_start_token_id', 'vision_end_token_id', 'pad_token_id'];
  for (const [i, token] of [...Object.values(meant), pad].entries())
    if (token >= text.vocab_size)
      throw new ModelError(`${file}  ${keys[i]}: expected an id below vocab_size ${text.vocab_size}; got ${token}`);
  return { ...meant, reserved: Object.values(meant), eos: ends.eos_token_id, pad };
}

/** Newer checkpoints keep the image processor inside `processor_config.json` and name its limits `size`. */
async function pixels(
  dir: string,
  vision: z.output<typeof Vision>,
): Promise<Pick<QwenConfig, 'minPixels' | 'maxPixels' | 'mean' | 'std'>> {
  let file = join(dir, 'processor_config.json');
  const inner = (await readJson(file, {}))['image_processor'];
  if (!isObject(inner)) file = join(dir, 'preprocessor_config.json');
  const source = isObject(inner) ? inner : await readJson(file);
  const size = isObject(source['size']) ? source['size'] : {};
  const found = check(
    Pixels,
    {
      ...source,
      min_pixels: source['min_pixels'] ?? size['shortest_edge'] ?? size['min_pixels'],
      max_pixels: source['max_pixels'] ?? size['longest_edge'] ?? size['max_pixels'],
    },
    file,
  );
  const agree = (key: string, got: number | undefined, expected: number): void => {
    if (got !== undefined && got !== expected)
      throw new ModelError(`${file}  ${key}: expected ${expected}, as config.json has it; got ${got}`);
  };
  agree('patch_size', found.patch_size, vision.patch_size);
  agree('merge_size', found.merge_size, vision.spatial_merge_size);
  if (found.min_pixels > found.max_pixels)
    throw new ModelError(
      `${file}  min_pixels: expected at most max_pixels ${found.max_pixels}; got ${found.min_pixels}`,
    );
  return { minPixels: found.min_pixels, maxPixels: found.max_pixels, mean: found.image_mean, std: found.image_std };
}
