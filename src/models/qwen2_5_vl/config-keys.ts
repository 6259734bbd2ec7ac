/**
 * The keys of a checkpoint's JSON files as Hugging Face spells them, and how they are read. Absent ones have
 * transformers' defaults, for it leaves out what is as by default.
 */

import { z } from 'zod';

import { Frame } from '../frame.js';
import { deviations, means } from '../pixel-keys.js';

const count = z.int('a positive integer').min(1, 'a positive integer');
/** Layers: each has a dozen weights, whose names are listed. */
const depth = z.int('1 to 1000 layers').min(1, '1 to 1000 layers').max(1000, '1 to 1000 layers');
const id = z.int('a token id').min(0, 'a token id');
const POSITIVE = 'a positive number that float32 holds';
const positive = z.number(POSITIVE).refine((value) => value > 0 && Number.isFinite(Math.fround(value)), POSITIVE);
/** Added to a mean square. */
const epsilon = z.number('a number from 0 to 1').gt(0, 'a number from 0 to 1').max(1, 'a number from 0 to 1');
const only = <T extends number | boolean | string>(value: T) => z.literal(value, JSON.stringify(value)).default(value);
/** A square by its side, or by two that are equal. */
const side = z.union(
  [
    count,
    z
      .tuple([count, count])
      .refine(([a, b]) => a === b)
      .transform(([a]) => a),
  ],
  'one side, or two that are equal',
);
const rotation = z.enum(['default', 'mrope'], '"default" or "mrope", without scaling').optional();
const rope = z.object(
  {
    mrope_section: z.tuple([count, count, count], 'three positive integers').default([16, 24, 24]),
    rope_theta: positive.optional(),
    rope_type: rotation,
    type: rotation,
    partial_rotary_factor: only(1),
  },
  'an object with mrope_section',
);

/** Keys that decide whether the weights can be read at all, and segr1's own key. */
export const Own = z.object({
  quantization_config: z.undefined('no quantization: f32, f16 or bf16 weights').optional(),
  segr1: z
    .strictObject(
      {
        wallpaper: z.boolean('true or false').default(false),
        prompt: z.strictObject({ system: z.string().optional(), user: z.string() }).optional(),
        frame: Frame.optional(),
      },
      '{ "wallpaper": true or false, "prompt": { "user": … }, "frame": 768 }',
    )
    .prefault({}),
});

/** The language model's keys, and the ids beside them. */
export const Text = z.object({
  vocab_size: count.default(152_064),
  hidden_size: count.default(8192),
  num_hidden_layers: depth.default(80),
  num_attention_heads: count.default(64),
  num_key_value_heads: count.default(8),
  head_dim: count.optional(),
  intermediate_size: count.default(29_568),
  max_position_embeddings: count.optional(),
  rms_norm_eps: epsilon.default(1e-5),
  hidden_act: only('silu'),
  use_sliding_window: z.boolean('true or false').default(false),
  sliding_window: count.default(4096),
  max_window_layers: z.int('a number of layers').min(0, 'a number of layers').default(80),
  layer_types: z.array(z.literal('full_attention', '"full_attention" everywhere'), 'a list').optional(),
  rope_theta: positive.default(1e6),
  rope_scaling: rope.prefault({}),
  tie_word_embeddings: z.boolean('true or false').default(false),
  image_token_id: id.default(151_655),
  video_token_id: id.default(151_656),
  vision_start_token_id: id.default(151_652),
  vision_end_token_id: id.default(151_653),
});

/** The vision tower's keys. */
export const Vision = z.object(
  {
    depth: depth.default(32),
    hidden_size: count.default(3584),
    num_heads: count.default(16),
    intermediate_size: count.default(3420),
    hidden_act: only('silu'),
    in_channels: only(3),
    patch_size: side.default(14),
    spatial_merge_size: count.default(2),
    temporal_patch_size: only(2),
    window_size: count.default(112),
    fullatt_block_indexes: z
      .array(z.int('a block index').min(0, 'a block index'), 'a list of block indexes')
      .default([7, 15, 23, 31]),
    out_hidden_size: count.default(3584),
    rope_parameters: z.object({ rope_theta: only(10_000) }, 'an object').optional(),
  },
  'an object',
);

/** Ids that end a completion, and the one that pads a batch. */
export const Ends = z.object({
  eos_token_id: z
    .union([id, z.array(id).min(1)], 'a token id or a list of them')
    .default(151_645)
    .transform((ids) => (typeof ids === 'number' ? [ids] : ids)),
  pad_token_id: id.optional(),
});

/** Area to which a small image is enlarged, at most: 8192 px square, of which the pixels alone take 2 GB. */
const MOST_LEAST = 2 ** 26;

/** The image processor's keys. */
export const Pixels = z.object({
  min_pixels: count.max(MOST_LEAST, `at most ${MOST_LEAST}`).default(56 * 56),
  max_pixels: count.default(28 * 28 * 1280),
  image_mean: means.default([0.48145466, 0.4578275, 0.40821073]),
  image_std: deviations.default([0.26862954, 0.26130258, 0.27577711]),
  do_resize: only(true),
  do_rescale: only(true),
  do_normalize: only(true),
  rescale_factor: z
    .number('1/255')
    .refine((factor) => Math.abs(factor * 255 - 1) < 1e-6, '1/255')
    .optional(),
  resample: z.literal(3, '3, which is bicubic').default(3),
  patch_size: count.optional(),
  merge_size: count.optional(),
  temporal_patch_size: only(2),
});
