/** The keys of a SAM 2.1 checkpoint's JSON files as Hugging Face spells them, with transformers' defaults. */
import { z } from 'zod';

import { deviations, means } from '../pixel-keys.js';

const count = z.int('a positive integer').min(1, 'a positive integer');
const positive = z.number('a positive number').gt(0, 'a positive number');
/** Added to a variance. */
const epsilon = z.number('a number from 0 to 1').gt(0, 'a number from 0 to 1').max(1, 'a number from 0 to 1');
const gelu = z.literal('gelu', '"gelu"').default('gelu');
const four = z.array(count).length(4, 'four positive integers');
/** A square as one side or as two equal ones. */
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
/** Blocks of a stage: each has a dozen weights, whose names are listed. */
const blocks = z.int('1 to 1000 blocks').min(1, '1 to 1000 blocks').max(1000, '1 to 1000 blocks');
/** Sides of the input square: 8192 px take a hundred times what the published 1024 take. */
const square = side.pipe(z.int().max(8192, 'at most 8192 px')).prefault(1024);
const fixedSide = (value: number) => side.pipe(z.literal(value, String(value))).prefault(value);

/** Keys that decide whether the checkpoint can be read at all. */
export const Kind = z.object({
  model_type: z.enum(['sam2', 'sam2_video'], '"sam2" or "sam2_video"'),
  quantization_config: z.undefined('no quantization: f32, f16 or bf16 weights').optional(),
});

/** The neck, and what is around the backbone. */
export const Vision = z.object({
  backbone_config: z.record(z.string(), z.unknown(), 'an object').default({}),
  backbone_channel_list: four.default([768, 384, 192, 96]),
  backbone_feature_sizes: z.array(z.tuple([count, count]), 'three pairs of sides').default([
    [256, 256],
    [128, 128],
    [64, 64],
  ]),
  fpn_hidden_size: count.default(256),
  fpn_kernel_size: z.literal(1, '1').default(1),
  fpn_stride: z.literal(1, '1').default(1),
  fpn_padding: z.literal(0, '0').default(0),
  fpn_top_down_levels: z.tuple([z.literal(2), z.literal(3)], '[2,3]').default([2, 3]),
  num_feature_levels: z.literal(3, '3').default(3),
});

/** Hiera. */
export const Backbone = z.object({
  num_channels: z.literal(3, '3').default(3),
  image_size: square,
  patch_kernel_size: fixedSide(7),
  patch_stride: fixedSide(4),
  patch_padding: z.union([z.literal(3), z.tuple([z.literal(3), z.literal(3)])], '3').default(3),
  query_stride: fixedSide(2),
  window_positional_embedding_background_size: z.tuple([count, count], 'two sides').default([7, 7]),
  num_query_pool_stages: z.literal(3, '3').default(3),
  blocks_per_stage: z.array(blocks, 'four numbers of blocks').length(4, 'four numbers of blocks').default([1, 2, 7, 2]),
  embed_dim_per_stage: four.default([96, 192, 384, 768]),
  num_attention_heads_per_stage: four.default([1, 2, 4, 8]),
  window_size_per_stage: four.default([8, 4, 14, 7]),
  global_attention_blocks: z
    .array(z.int('a block index').min(0, 'a block index'), 'a list of block indexes')
    .default([5, 7, 9]),
  mlp_ratio: positive.default(4),
  hidden_act: gelu,
  layer_norm_eps: epsilon.default(1e-6),
});

/** The prompt encoder. */
export const Prompts = z.object({
  hidden_size: count.default(256),
  image_size: square,
  patch_size: fixedSide(16),
  mask_input_channels: count.multipleOf(4, 'a multiple of 4').default(16),
  num_point_embeddings: z.literal(4, '4').default(4),
  hidden_act: gelu,
  layer_norm_eps: epsilon.default(1e-6),
});

/** The mask decoder. */
export const Decoder = z.object({
  hidden_size: count.default(256),
  mlp_dim: count.default(2048),
  num_hidden_layers: z.literal(2, '2').default(2),
  num_attention_heads: count.default(8),
  attention_downsample_rate: count.default(2),
  num_multimask_outputs: z.literal(3, '3').default(3),
  iou_head_depth: z.int('2 to 1000').min(2, '2 to 1000').max(1000, '2 to 1000').default(3),
  iou_head_hidden_dim: count.default(256),
  dynamic_multimask_via_stability: z.boolean('true or false').default(true),
  dynamic_multimask_stability_delta: z.number('a number').default(0.05),
  dynamic_multimask_stability_thresh: z.number('a number').default(0.98),
});

/** The image processor's keys. */
export const Pixels = z.object({
  image_mean: means.default([0.485, 0.456, 0.406]),
  image_std: deviations.default([0.229, 0.224, 0.225]),
  size: z
    .object({ height: count, width: count }, 'an object with height and width')
    .default({ height: 1024, width: 1024 }),
  resample: z.literal(2, '2, which is bilinear').default(2),
  do_resize: z.literal(true, 'true').default(true),
  do_rescale: z.literal(true, 'true').default(true),
  do_normalize: z.literal(true, 'true').default(true),
  rescale_factor: z
    .number('1/255')
    .refine((factor) => Math.abs(factor * 255 - 1) < 1e-6, '1/255')
    .optional(),
});
