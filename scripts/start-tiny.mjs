/**
 * Writes the untrained small policy: `node scripts/start-tiny.mjs FOLDER [SEED]`.
 *
 * A Qwen2.5-VL of 1.4 M parameters with a closed vocabulary in which each number from 0 to 111 is one token. Its second
 * temporal
 * slot holds a picture of positions (`segr1.wallpaper` in config.json), and neighbouring numbers start with
 * neighbouring embeddings.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { writeSafetensors } from '../dist/io/safetensors.js';
import { readConfig } from '../dist/models/qwen2_5_vl/architecture.js';
import { weightShapes } from '../dist/models/qwen2_5_vl/weights.js';
import { draws } from '../dist/random.js';

const FRAME = 112;
const SEED = Number(process.argv[3] ?? 1);
const special = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|vision_start|>',
  '<|vision_end|>',
  '<|image_pad|>',
  '<|video_pad|>',
];
const tags = ['think', 'bbox', 'points', 'labels'].flatMap((name) => [`<${name}>`, `</${name}>`]);
const marks = ['[', ']', ',', '[[', ']]', '],[', ', ', ' ', '\n', '.'];
const words = [
  'user',
  'assistant',
  'system',
  'segment',
  ' the',
  ' main',
  ' object',
  ' left',
  ' right',
  ' top',
  ' bottom',
  ' center',
  ' middle',
  ' hidden',
];
const colours = [' red', ' green', ' blue', ' yellow', ' orange', ' purple', ' white', ' black'];
const numbers = Array.from({ length: FRAME }, (_, i) => String(i));
const vocabulary = [...special, ...tags, ...marks, ...words, ...colours, ...numbers];
const id = Object.fromEntries(vocabulary.map((token, i) => [token, i]));

const config = {
  architectures: ['Qwen2_5_VLForConditionalGeneration'],
  model_type: 'qwen2_5_vl',
  bos_token_id: id['<|endoftext|>'],
  eos_token_id: id['<|im_end|>'],
  pad_token_id: id['<|endoftext|>'],
  vision_start_token_id: id['<|vision_start|>'],
  vision_end_token_id: id['<|vision_end|>'],
  image_token_id: id['<|image_pad|>'],
  video_token_id: id['<|video_pad|>'],
  hidden_act: 'silu',
  hidden_size: 128,
  intermediate_size: 256,
  max_position_embeddings: 1024,
  num_attention_heads: 4,
  num_hidden_layers: 3,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-6,
  rope_theta: 100,
  rope_scaling: { type: 'mrope', mrope_section: [4, 6, 6] },
  tie_word_embeddings: true,
  torch_dtype: 'float32',
  use_sliding_window: false,
  vocab_size: vocabulary.length,
  vision_config: {
    depth: 3,
    hidden_act: 'silu',
    hidden_size: 128,
    intermediate_size: 256,
    num_heads: 4,
    in_chans: 3,
    out_hidden_size: 128,
    patch_size: 14,
    spatial_merge_size: 2,
    spatial_patch_size: 14,
    temporal_patch_size: 2,
    tokens_per_second: 2,
    window_size: FRAME,
    fullatt_block_indexes: [0, 1, 2],
  },
  segr1: { wallpaper: true, prompt: { user: 'segment the main object' }, frame: 112 },
};

const template =
  "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}{% else %}" +
  "{% for content in message['content'] %}{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ content['text'] }}{% endif %}{% endfor %}" +
  '{% endif %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

const added = special.map((content, i) => ({
  id: i,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
}));
const tokenizer = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: added,
  normalizer: null,
  pre_tokenizer: {
    type: 'Split',
    pattern: { Regex: '</?[a-z]+>|\\d+|\\[\\[|\\]\\]|\\],\\[|, | ?[a-z]+|[\\s\\S]' },
    behavior: 'Isolated',
    invert: false,
  },
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: true,
    vocab: id,
    merges: [],
  },
};

const files = {
  'config.json': config,
  'generation_config.json': {
    bos_token_id: id['<|endoftext|>'],
    pad_token_id: id['<|endoftext|>'],
    eos_token_id: [id['<|im_end|>'], id['<|endoftext|>']],
    do_sample: true,
  },
  'preprocessor_config.json': {
    min_pixels: 784,
    max_pixels: FRAME * FRAME,
    patch_size: 14,
    temporal_patch_size: 2,
    merge_size: 2,
    image_mean: [0.48145466, 0.4578275, 0.40821073],
    image_std: [0.26862954, 0.26130258, 0.27577711],
    image_processor_type: 'Qwen2VLImageProcessor',
    processor_class: 'Qwen2_5_VLProcessor',
  },
  'chat_template.json': { chat_template: template },
  'tokenizer.json': tokenizer,
  'tokenizer_config.json': {
    added_tokens_decoder: Object.fromEntries(added.map(({ id: at, ...rest }) => [at, rest])),
    additional_special_tokens: special.slice(1),
    chat_template: template,
    clean_up_tokenization_spaces: false,
    eos_token: '<|im_end|>',
    model_max_length: 1024,
    pad_token: '<|endoftext|>',
    tokenizer_class: 'PreTrainedTokenizerFast',
  },
};

/** [numbers, width]: damped cosines of the number, mixed at random, so that close numbers have close vectors. */
function smoothNumbers(width) {
  const draw = draws('tiny numbers', SEED);
  const waves = 24;
  const mix = Float64Array.from({ length: waves * width }, () => draw.normal());
  const rows = Float32Array.from({ length: FRAME * width }, (_, i) => {
    const [n, column] = [Math.floor(i / width), i % width];
    let sum = 0;
    for (let k = 0; k < waves; k++)
      sum += Math.cos((Math.PI * k * n) / FRAME) * Math.exp(-k / 10) * mix[k * width + column];
    return sum;
  });
  const spread = Math.sqrt(rows.reduce((sum, value) => sum + value * value, 0) / rows.length);
  return rows.map((value) => (value / spread) * 0.05);
}

function firstValues(name, length) {
  if (/norm|ln_q/.test(name)) return new Float32Array(length).fill(1);
  if (name.endsWith('bias')) return new Float32Array(length);
  const draw = draws('tiny', SEED, name);
  const values = Float32Array.from({ length }, () => draw.normal(name.includes('patch_embed') ? 0.05 : 0.04));
  if (name.includes('embed_tokens')) values.set(smoothNumbers(config.hidden_size), id['0'] * config.hidden_size);
  return values;
}

const folder = process.argv[2];
if (!folder) {
  console.error('start-tiny  FOLDER: expected where to write the untrained policy; got nothing');
  process.exit(2);
}
await mkdir(folder, { recursive: true });
for (const [name, value] of Object.entries(files))
  await writeFile(join(folder, name), `${JSON.stringify(value, null, 1)}\n`);
const shapes = weightShapes(await readConfig(folder));
const tensors = shapes.map(({ name, sizes }) => {
  const shape = Object.values(sizes);
  const length = shape.reduce((product, size) => product * size, 1);
  return {
    name,
    dtype: 'F32',
    shape: name.includes('patch_embed') ? [config.vision_config.hidden_size, 3, 2, 14, 14] : shape,
    data: firstValues(name, length),
  };
});
await writeSafetensors(join(folder, 'model.safetensors'), tensors, { format: 'pt' });
console.log(
  `${folder}: ${tensors.reduce((sum, { data }) => sum + data.length, 0)} parameters, ${vocabulary.length} tokens`,
);
