import { join } from 'node:path';

import type { Tensors } from '../../io/safetensors.js';
import { checkClaims, checkRepeated, storedTensors, type Claim } from '../stored-numbers.js';
import type { Sam2Config } from './config.js';

/**
 * Compares a configuration's numbers with its weights' headers.
 *
 * @throws {ModelError} naming file and key; no weight is read.
 */
export async function agreesWithStored(dir: string, config: Sam2Config): Promise<void> {
  const tensors = await storedTensors(dir);
  if (!tensors) return;
  const file = join(dir, 'config.json');
  const backbone = 'vision_config.backbone_config';
  const blocks = config.stages.reduce((sum, stage) => sum + stage.blocks, 0);
  checkRepeated(file, `${backbone}.blocks_per_stage in all`, blocks, tensors, ['vision_encoder.backbone.blocks.']);
  checkRepeated(file, 'mask_decoder_config.iou_head_depth less 2', config.decoder.iouDepth - 2, tensors, [
    'mask_decoder.iou_prediction_head.layers.',
  ]);
  checkClaims(file, claims(config, tensors));
}

function claims({ stages, background, mlpRatio, width, decoder, maskPrompt }: Sam2Config, tensors: Tensors): Claim[] {
  const size = (name: string, dim = 0): number | undefined =>
    tensors.has(name) ? tensors.info(name).shape[dim] : undefined;
  const backbone = 'vision_config.backbone_config';
  const block = (i: number): string => `vision_encoder.backbone.blocks.${i}`;
  const firsts = stages.map((_, i) => stages.slice(0, i).reduce((sum, stage) => sum + stage.blocks, 0));
  const narrow = size('mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight');
  const claim = (key: string, got: number, stored: number | undefined): Claim => ({ key, got, stored });
  return [
    ...stages.map((stage, i) =>
      claim(`${backbone}.embed_dim_per_stage.${i}`, stage.width, size(`${block(firsts[i])}.attn.proj.weight`)),
    ),
    claim(`${backbone}.mlp_ratio`, Math.trunc(stages[0].width * mlpRatio), size(`${block(0)}.mlp.proj_in.weight`)),
    claim(`${backbone}.window_size_per_stage.0`, stages[0].window, size('vision_encoder.backbone.pos_embed_window', 2)),
    ...background.map((side, i) =>
      claim(
        `${backbone}.window_positional_embedding_background_size.${i}`,
        side,
        size('vision_encoder.backbone.pos_embed', 2 + i),
      ),
    ),
    claim('vision_config.fpn_hidden_size', width, size('vision_encoder.neck.convs.0.weight')),
    claim(
      'prompt_encoder_config.mask_input_channels',
      maskPrompt.channels,
      size('prompt_encoder.mask_embed.conv2.weight'),
    ),
    claim('mask_decoder_config.mlp_dim', decoder.mlp, size('mask_decoder.transformer.layers.0.mlp.proj_in.weight')),
    claim('mask_decoder_config.attention_downsample_rate', decoder.downsample, narrow && width / narrow),
    claim(
      'mask_decoder_config.iou_head_hidden_dim',
      decoder.iouHidden,
      size('mask_decoder.iou_prediction_head.proj_in.weight'),
    ),
  ];
}

/** Parts of a video model that a still image doesn't need. @see transformers, `Sam2PreTrainedModel`. */
const MEMORY =
  /^(memory_|mask_downsample|object_pointer_proj|temporal_positional_encoding_projection_layer|no_memory_positional_encoding|no_object_pointer|occlusion_spatial_embedding_parameter)/;

/** Stored tensors that nothing uses, a video model's memory aside. @param used names of those that are. */
export function unusedTensors({ names }: Tensors, used: ReadonlyMap<string, unknown>): string[] {
  return names.filter((name) => !used.has(name) && !MEMORY.test(name));
}
