/** The keys of a checkpoint's JSON files as Hugging Face spells them, and how they are read. */

import { z } from 'zod';

const count = z.int('a positive integer').min(1, 'a positive integer');
const id = z.int('a token id').min(0, 'a token id');
const positive = z.number('a positive number').gt(0, 'a positive number');
const triple = z.tuple([z.number('a number'), z.number('a number'), z.number('a number')], 'three numbers');
const silu = z.literal('silu', '"silu"').default('silu');
const rope = z.object(
  { mrope_section: z.tuple([count, count, count], 'three positive integers'), rope_theta: positive.optional() },
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
      },
      '{ "wallpaper": true or false, "prompt": { "user": … } }',
    )
    .prefault({}),
});

/** The language model's keys, and the ids beside them. */
export const Text = z.object({
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: count.nullish(),
  intermediate_size: count,
  max_position_embeddings: count.nullish(),
  rms_norm_eps: positive,
  hidden_act: silu,
  use_sliding_window: z.literal(false, 'false').default(false),
  rope_theta: positive.optional(),
  rope_scaling: rope,
  tie_word_embeddings: z.boolean('true or false').default(false),
  image_token_id: id,
  video_token_id: id,
  vision_start_token_id: id,
  vision_end_token_id: id,
});

/** The vision tower's keys; absent ones have transformers' defaults. */
export const Vision = z.object(
  {
    depth: count,
    hidden_size: count,
    num_heads: count,
    intermediate_size: count,
    hidden_act: silu,
    patch_size: count.default(14),
    spatial_merge_size: count.default(2),
    temporal_patch_size: z.literal(2, '2').default(2),
    window_size: count.default(112),
    fullatt_block_indexes: z.array(z.int('a block index').min(0, 'a block index'), 'a list of block indexes'),
    out_hidden_size: count,
  },
  'an object',
);

/** Ids that end a completion, and the one that pads a batch. */
export const Ends = z.object({
  eos_token_id: z
    .union([id, z.array(id).min(1)], 'a token id or a list of them')
    .transform((ids) => (typeof ids === 'number' ? [ids] : ids)),
  pad_token_id: id.nullish(),
});

/** The image processor's keys. */
export const Pixels = z.object({ min_pixels: count, max_pixels: count, image_mean: triple, image_std: triple });
