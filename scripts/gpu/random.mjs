/**
 * Checkpoints of published shapes with random weights, gigabytes in seconds: one block of random numbers a scale, taken
 * again and again.
 */
import {
  closeSync,
  cpSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  statfsSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { readConfig } from '../../dist/models/qwen2_5_vl/architecture.js';
import { weightShapes } from '../../dist/models/qwen2_5_vl/weights.js';
import { readSam2Config } from '../../dist/models/sam2/config.js';
import { weightShapes as sam2Shapes } from '../../dist/models/sam2/weights.js';
import { hash } from '../../dist/random.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Values of a block. No width of a model divides it, so rows that it serves twice are shifted against each other. */
const BLOCK = 2 ** 25 - 39;
const WIDTH = { F32: 4, BF16: 2 };

/** A folder for so many bytes: in memory where there is room, else among temporary files. */
export function roomyFolder(bytes) {
  const { bavail, bsize } = statfsSync('/dev/shm');
  return bavail * bsize > 1.1 * bytes ? '/dev/shm' : tmpdir();
}

/** Random numbers, uniform, of variance 1 / fan. */
function blockOf(dtype, fan) {
  const bound = Math.sqrt(3 / fan);
  const values = new Float32Array(BLOCK);
  let x = 0x9e3779b9 ^ fan;
  for (let i = 0; i < BLOCK; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    values[i] = (x / 0x80000000) * bound;
  }
  if (dtype === 'F32') return Buffer.from(values.buffer);
  const halves = new Uint16Array(BLOCK);
  const bits = new Uint32Array(values.buffer);
  for (let i = 0; i < BLOCK; i++) halves[i] = bits[i] >>> 16;
  return Buffer.from(halves.buffer);
}

/**
 * Writes one safetensors file: matrices so that variances stay what they are, norms' scales 1, biases small.
 *
 * @param hollow leaves a hole in the place of the values: zeros that take neither room nor time.
 */
function writeRandom(path, tensors, dtype, hollow) {
  const width = WIDTH[dtype];
  let end = 0;
  const header = Object.fromEntries(
    tensors.map(({ name, shape }) => {
      const start = end;
      end += width * shape.reduce((product, size) => product * size, 1);
      return [name, { dtype, shape, data_offsets: [start, end] }];
    }),
  );
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = openSync(path, 'w');
  try {
    writeSync(file, length);
    writeSync(file, padded);
    if (hollow) ftruncateSync(file, 8 + padded.length + end);
    else for (const tensor of tensors) writeValues(file, tensor, dtype);
  } finally {
    closeSync(file);
  }
  return end;
}

const blocks = new Map();
const ones = new Map();

function writeValues(file, { name, shape }, dtype) {
  const width = WIDTH[dtype];
  const count = shape.reduce((product, size) => product * size, 1);
  const scale = /norm\w*\.weight$|ln_q\.weight$|norm\d*\.weight$/.test(name);
  const [fan] = scale ? [0] : shape.length > 1 ? [count / shape[0]] : [4096];
  const known = scale ? ones : blocks;
  const key = `${dtype} ${fan}`;
  if (!known.has(key)) known.set(key, scale ? onesOf(dtype) : blockOf(dtype, fan));
  const block = known.get(key);
  // One table stands at two places of SAM 2.
  let at = scale
    ? 0
    : (hash(name.replace('prompt_encoder.shared_embedding', 'shared_image_embedding')) % BLOCK) * width;
  for (let left = count * width; left > 0;) {
    const piece = Math.min(left, block.length - at);
    left -= writeSync(file, block, at, piece);
    at = 0;
  }
}

function onesOf(dtype) {
  const values = new Float32Array(4096).fill(1);
  return dtype === 'F32' ? Buffer.from(values.buffer) : Buffer.from(Uint16Array.from(values, () => 0x3f80).buffer);
}

/**
 * A checkpoint of Qwen2.5-VL-3B's shape in bfloat16, 7.5 GB, which transformers opens as well; with the goldens'
 * tokenizer, which is asked nothing.
 *
 * @param text what is other about the language model, such as fewer layers.
 * @param blocks of the vision tower.
 * @returns bytes written.
 */
export async function randomQwen(folder, { hollow = false, text = {}, blocks = 32 } = {}) {
  mkdirSync(folder, { recursive: true });
  cpSync(here('../../test/fixtures/qwen2.5-vl-3b'), folder, { recursive: true });
  const tiny = here('../../test/golden/fixtures/policy/tiny-qwen2_5_vl');
  for (const name of ['chat_template.json', 'tokenizer.json', 'tokenizer_config.json'])
    cpSync(join(tiny, name), join(folder, name));
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  const { fullatt_block_indexes: whole, ...tower } = config.vision_config;
  const vision = { ...tower, depth: blocks, fullatt_block_indexes: whole.filter((i) => i < blocks) };
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...text, vision_config: vision }));
  const read = await readConfig(folder);
  const { patch, temporalPatch } = read.vision;
  const tensors = weightShapes(read).map(({ name, sizes }) => {
    const shape = Object.values(sizes);
    // A convolution of its own shape, as files have it.
    return {
      name,
      shape: name === 'visual.patch_embed.proj.weight' ? [shape[0], 3, temporalPatch, patch, patch] : shape,
    };
  });
  return writeRandom(join(folder, 'model.safetensors'), tensors, 'BF16', hollow);
}

const HIERA_LARGE = {
  backbone_channel_list: [1152, 576, 288, 144],
  backbone_config: {
    blocks_per_stage: [2, 6, 36, 4],
    embed_dim_per_stage: [144, 288, 576, 1152],
    num_attention_heads_per_stage: [2, 4, 8, 16],
    window_size_per_stage: [8, 4, 16, 8],
    global_attention_blocks: [23, 33, 43],
  },
};

/** A checkpoint of sam2.1-hiera-large's shape in float32, 0.9 GB. @returns bytes written. */
export async function randomSam2(folder, { hollow = false } = {}) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ model_type: 'sam2', vision_config: HIERA_LARGE }));
  writeFileSync(
    join(folder, 'preprocessor_config.json'),
    JSON.stringify({
      image_mean: [0.485, 0.456, 0.406],
      image_std: [0.229, 0.224, 0.225],
      size: { height: 1024, width: 1024 },
    }),
  );
  const tensors = [...sam2Shapes(await readSam2Config(folder))].map(([name, shape]) => ({ name, shape }));
  return writeRandom(join(folder, 'model.safetensors'), tensors, 'F32', hollow);
}
