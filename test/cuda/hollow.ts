import { cp, mkdtemp, open, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { dtypeBytes } from '../../src/io/safetensors-header.js';
import type { EncodedPrompt, TrainRow } from '../../src/models/policy.js';
import { readConfig } from '../../src/models/qwen2_5_vl/architecture.js';
import type { QwenConfig } from '../../src/models/qwen2_5_vl/config.js';
import type { VlmConfig } from '../../src/models/vlm/architecture.js';
import { weightShapes } from '../../src/models/qwen2_5_vl/weights.js';
import { readSam2Config } from '../../src/models/sam2/config.js';
import { weightShapes as segmenterShapes } from '../../src/models/sam2/weights.js';
import { tiny } from './work.js';

type Shapes = readonly (readonly [name: string, shape: readonly number[]])[];

/** Writes a safetensors file of zeros that takes no room on the disk: its header, and a hole. */
async function writeHollow(path: string, shapes: Shapes, dtype: 'F32' | 'BF16'): Promise<void> {
  let at = 0;
  const header = Object.fromEntries(
    shapes.map(([name, shape]) => {
      const start = at;
      at += dtypeBytes[dtype] * shape.reduce((product, size) => product * size, 1);
      return [name, { dtype, shape, data_offsets: [start, at] }];
    }),
  );
  const text = JSON.stringify(header);
  const padded = Buffer.from(text.padEnd(8 * Math.ceil(text.length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = await open(path, 'w');
  await file.writeFile(Buffer.concat([length, padded]));
  await file.truncate(8 + padded.length + at);
  await file.close();
}

/**
 * A checkpoint of the published 3B's shape, its weights zeros; with the small policy's tokenizer, which is asked
 * nothing.
 *
 * @param text what is other about the language model, such as fewer layers.
 * @param vision the same of the vision tower.
 */
export async function hollowQwen({
  dtype = 'F32',
  text = {},
  vision = {},
}: {
  readonly dtype?: 'F32' | 'BF16';
  readonly text?: Readonly<Record<string, number | boolean>>;
  readonly vision?: Readonly<Record<string, number | readonly number[]>>;
} = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'segr1-3b-'));
  const published = fileURLToPath(new URL('../fixtures/qwen2.5-vl-3b', import.meta.url));
  await cp(published, folder, { recursive: true });
  for (const name of ['chat_template.json', 'tokenizer.json', 'tokenizer_config.json'])
    await cp(join(tiny, name), join(folder, name));
  const path = join(folder, 'config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as { readonly vision_config: object };
  await writeFile(path, JSON.stringify({ ...config, ...text, vision_config: { ...config.vision_config, ...vision } }));
  const shapes = weightShapes(await readConfig(folder)).map(({ name, sizes }) => [name, Object.values(sizes)] as const);
  await writeHollow(join(folder, 'model.safetensors'), shapes, dtype);
  return folder;
}

/** A prompt with one image of a frame, as long as Seg-R1's. */
export function promptOf(config: VlmConfig, frame: number, words = 256): EncodedPrompt {
  const { tokens, vision } = config as QwenConfig;
  const unit = vision.patch * vision.merge;
  const side = vision.merge * Math.round(frame / unit);
  const placeholders = Array.from({ length: (side / vision.merge) ** 2 }, () => tokens.image);
  const ids = Array.from({ length: words }, (_, i) => 1 + (i % 500));
  return {
    text: '',
    tokens: [tokens.visionStart, ...placeholders, tokens.visionEnd, ...ids.slice(2)],
    images: [
      {
        grid: { h: side, w: side },
        pixels: new Float32Array(side * side * 3 * vision.temporalPatch * vision.patch ** 2),
      },
    ],
  };
}

/** Prompts with whole groups of whole completions. */
export function wholeGroups(
  config: VlmConfig,
  {
    frame,
    group,
    maxTokens,
    prompts,
  }: { readonly frame: number; readonly group: number; readonly maxTokens: number; readonly prompts: number },
): TrainRow[] {
  const each = <T>(value: T): T[][] =>
    Array.from({ length: group }, () => Array.from({ length: maxTokens }, () => value));
  const perToken = { oldLogProbs: each(-1), refLogProbs: each(-1), weight: each(1e-3), share: each(1e-3) };
  const perSample = {
    advantages: Array.from({ length: group }, (_, i) => i % 2),
    sampleShare: Array.from({ length: group }, () => 1 / group),
  };
  return Array.from({ length: prompts }, () => ({
    prompt: promptOf(config, frame),
    completions: each(1),
    perToken,
    perSample,
  }));
}

/** Hiera's sizes in the published checkpoints of SAM 2.1; those of tiny are what transformers fills in. */
const HIERA = {
  tiny: {},
  large: {
    backbone_channel_list: [1152, 576, 288, 144],
    backbone_config: {
      blocks_per_stage: [2, 6, 36, 4],
      embed_dim_per_stage: [144, 288, 576, 1152],
      num_attention_heads_per_stage: [2, 4, 8, 16],
      window_size_per_stage: [8, 4, 16, 8],
      global_attention_blocks: [23, 33, 43],
    },
  },
};

/** A checkpoint of SAM 2.1's shape, its weights zeros. */
export async function hollowSam2(size: keyof typeof HIERA): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'segr1-sam2-'));
  await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'sam2', vision_config: HIERA[size] }));
  await writeFile(
    join(folder, 'preprocessor_config.json'),
    JSON.stringify({
      image_mean: [0.485, 0.456, 0.406],
      image_std: [0.229, 0.224, 0.225],
      size: { height: 1024, width: 1024 },
    }),
  );
  await writeHollow(join(folder, 'model.safetensors'), [...segmenterShapes(await readSam2Config(folder))], 'F32');
  return folder;
}
