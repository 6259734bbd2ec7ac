/** Random checkpoints of any Qwen2.5-VL shape, with the small policy's tokenizer, for measuring. */
import { cp, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { writeSafetensors, writeShards } from '../dist/io/safetensors.js';
import { readConfig } from '../dist/models/qwen2_5_vl/architecture.js';
import { weightShapes } from '../dist/models/qwen2_5_vl/weights.js';
import { readSam2Config } from '../dist/models/sam2/config.js';
import { weightShapes as sam2Shapes } from '../dist/models/sam2/weights.js';
import { draws } from '../dist/random.js';

/** The shape that the peers are measured at. */
export const PEERS = {
  text: {
    hidden_size: 192,
    intermediate_size: 576,
    num_hidden_layers: 6,
    num_attention_heads: 6,
    num_key_value_heads: 2,
    vocab_size: 704,
    rope_theta: 1e6,
    rope_scaling: { type: 'mrope', mrope_section: [4, 6, 6] },
  },
  vision: {
    hidden_size: 96,
    intermediate_size: 192,
    depth: 4,
    num_heads: 4,
    out_hidden_size: 192,
    fullatt_block_indexes: [3],
  },
};

/**
 * 39 million weights, as many as a user may train on a laptop: wide enough that matrix products take most of the time.
 */
export const USERS = {
  text: {
    hidden_size: 512,
    intermediate_size: 1280,
    num_hidden_layers: 8,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    vocab_size: 8192,
    rope_theta: 1e6,
    rope_scaling: { type: 'mrope', mrope_section: [8, 12, 12] },
  },
  vision: {
    hidden_size: 320,
    intermediate_size: 1024,
    depth: 8,
    num_heads: 8,
    out_hidden_size: 512,
    fullatt_block_indexes: [3, 7],
  },
};

/** A few billion weights' widths on fewer layers: as float32 2.5 GiB, with the vocabulary and the layers of the 3B. */
export const WIDE = {
  text: {
    hidden_size: 2048,
    intermediate_size: 11008,
    num_hidden_layers: 4,
    num_attention_heads: 16,
    num_key_value_heads: 2,
    vocab_size: 151_936,
    rope_theta: 1e6,
    rope_scaling: { type: 'mrope', mrope_section: [16, 24, 24] },
  },
  vision: {
    hidden_size: 1280,
    intermediate_size: 3420,
    depth: 2,
    num_heads: 16,
    out_hidden_size: 2048,
    fullatt_block_indexes: [1],
  },
};

/** The shape of Qwen2.5-VL-3B: as float32 15 GB. */
export const BILLIONS = {
  text: { ...WIDE.text, num_hidden_layers: 36 },
  vision: { ...WIDE.vision, depth: 32, fullatt_block_indexes: [7, 15, 23, 31] },
};

/** Writes a checkpoint folder and gives its path. @param dtype F32, F16 or BF16. */
export async function randomCheckpoint({ text, vision }, dtype = 'F32') {
  const from = new URL('../data/models/tiny/', import.meta.url).pathname;
  const folder = await mkdtemp(join(tmpdir(), 'segr1-bench-'));
  await mkdir(folder, { recursive: true });
  for (const name of ['preprocessor_config.json', 'chat_template.json', 'tokenizer.json', 'tokenizer_config.json'])
    await cp(join(from, name), join(folder, name));
  const config = JSON.parse(await readFile(join(from, 'config.json'), 'utf8'));
  delete config.segr1;
  // Ids without a token are never written, so every completion has its full length.
  const end = { eos_token_id: [text.vocab_size - 1], pad_token_id: config.pad_token_id };
  await writeFile(join(folder, 'generation_config.json'), JSON.stringify(end));
  await writeFile(
    join(folder, 'config.json'),
    JSON.stringify({ ...config, ...text, vision_config: { ...config.vision_config, ...vision } }),
  );
  const shapes = weightShapes(await readConfig(folder));
  const tensors = shapes.map(({ name, sizes }) => {
    const shape = Object.values(sizes);
    const length = shape.reduce((product, size) => product * size, 1);
    const draw = draws('bench', name);
    const norm = /norm|ln_q/.test(name);
    const data = () => {
      const values = new Float32Array(length);
      for (let i = 0; i < length; i++) values[i] = norm ? 1 : draw.uniform(-0.04, 0.04);
      return values;
    };
    return { name, dtype, shape, data };
  });
  await writeShards(folder, tensors);
  return folder;
}

/**
 * Writes a SAM 2.1 with random weights and gives its path; the released tiny model's shape is what an empty
 * configuration stands for.
 */
export async function randomSam2() {
  const folder = await mkdtemp(join(tmpdir(), 'segr1-bench-'));
  await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'sam2' }));
  await writeFile(
    join(folder, 'preprocessor_config.json'),
    JSON.stringify({
      image_mean: [0.485, 0.456, 0.406],
      image_std: [0.229, 0.224, 0.225],
      size: { height: 1024, width: 1024 },
    }),
  );
  const tensors = [...sam2Shapes(await readSam2Config(folder))].map(([name, shape]) => {
    const draw = draws('bench', name.replace('prompt_encoder.shared_embedding', 'shared_image_embedding'));
    const length = shape.reduce((product, size) => product * size, 1);
    return {
      name,
      dtype: 'F32',
      shape,
      data: Float32Array.from({ length }, () => (/norm\w*\.weight/.test(name) ? 1 : draw.uniform(-0.04, 0.04))),
    };
  });
  await writeSafetensors(join(folder, 'model.safetensors'), tensors);
  return folder;
}

/** Median, fastest and slowest of some seconds. */
export function spread(seconds) {
  const sorted = seconds.toSorted((a, b) => a - b);
  const round = (x) => Math.round(x * 1e4) / 1e4;
  return { median: round(sorted[Math.floor(sorted.length / 2)]), min: round(sorted[0]), max: round(sorted.at(-1)) };
}

/** Seconds of each of `repeats` runs, after one that is not counted, or as many as told. */
export async function timed(repeats, run, warm = 1) {
  for (let i = 0; i < warm; i++) await run();
  const seconds = [];
  for (let i = 0; i < repeats; i++) {
    const start = performance.now();
    await run();
    seconds.push((performance.now() - start) / 1000);
  }
  return seconds;
}
