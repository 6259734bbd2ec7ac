import type { Architecture } from '../vlm/architecture.js';
import { readNumbers, type QwenConfig } from './config.js';
import { deviceMemoryOf } from './memory-cuda.js';
import { layerFloats } from './memory.js';
import { promptPositions, promptRotary } from './positions.js';
import { patches, smartResize } from './processor.js';
import { decoderLayer } from './text.js';
import { asStored } from './stored.js';
import { visionTower } from './vision.js';
import { newerName, weightShapes } from './weights.js';

/** Qwen2.5-VL. @see arXiv:2502.13923 */
export const qwen2_5_vl: Architecture<QwenConfig> = {
  modelTypes: ['qwen2_5_vl'],
  coordinates: 'pixels',
  modules: {
    embedding: 'model.embed_tokens',
    norm: 'model.norm',
    head: 'lm_head',
    patches: 'visual.patch_embed.proj',
    layers: 'model.layers.',
    vision: 'visual.',
    blocks: 'visual.blocks.',
  },
  readConfig,
  weightShapes,
  newerName,
  resized: smartResize,
  patches,
  positions: promptPositions,
  rotary: promptRotary,
  vision: visionTower,
  decoderLayer,
  layerFloats,
  deviceMemory: deviceMemoryOf,
};

/** Reads the configuration of a Qwen2.5-VL, with any `model_type`; see `readNumbers` and `asStored`. */
export async function readConfig(dir: string): Promise<QwenConfig> {
  return { architecture: qwen2_5_vl, ...(await asStored(dir, await readNumbers(dir))) };
}
