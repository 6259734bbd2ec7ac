import { join } from 'node:path';

import type { Tensors } from '../../io/safetensors.js';
import { checkClaims, checkRepeated, storedTensors } from '../stored-numbers.js';
import type { QwenConfig } from './config.js';
import { newerName } from './weights.js';

type Numbers = Omit<QwenConfig, 'architecture'>;

const [TABLE, HEAD] = ['model.embed_tokens.weight', 'lm_head.weight'] as const;

/**
 * The numbers of a checkpoint, once its weights don't contradict them. A head that is stored beside the embedding table
 * with other values is no tied one, whatever the configuration says; transformers has it so.
 *
 * @throws {ModelError} naming file and key; no weight is read but for two tables that should be one.
 */
export async function asStored(dir: string, numbers: Numbers): Promise<Numbers> {
  const tensors = await storedTensors(dir);
  if (!tensors) return numbers;
  const file = join(dir, 'config.json');
  const { text, vision } = numbers;
  checkRepeated(file, 'num_hidden_layers', text.layers, tensors, spelled('model.layers.'));
  checkRepeated(file, 'vision_config.depth', vision.depth, tensors, spelled('visual.blocks.'));
  const size = (name: string, dim: number): number | undefined => sizesOf(tensors, name)?.[dim];
  const over = (stored: number | undefined, unit: number): number | undefined =>
    stored === undefined ? undefined : stored / unit;
  const layer = 'model.layers.0';
  const block = 'visual.blocks.0';
  const pixels = sizesOf(tensors, 'visual.patch_embed.proj.weight')
    ?.slice(1)
    .reduce((product, side) => product * side, 1);
  const root = (stored: number | undefined): number | undefined =>
    stored === undefined ? undefined : Math.sqrt(stored);
  checkClaims(file, [
    { key: 'vocab_size', got: text.vocab, stored: size(TABLE, 0) },
    { key: 'hidden_size', got: text.hidden, stored: size(TABLE, 1) },
    { key: 'intermediate_size', got: text.intermediate, stored: size(`${layer}.mlp.gate_proj.weight`, 0) },
    {
      key: 'num_attention_heads',
      got: text.heads,
      stored: over(size(`${layer}.self_attn.q_proj.weight`, 0), text.headDim),
    },
    {
      key: 'num_key_value_heads',
      got: text.kvHeads,
      stored: over(size(`${layer}.self_attn.k_proj.weight`, 0), text.headDim),
    },
    { key: 'vision_config.hidden_size', got: vision.hidden, stored: size(`${block}.attn.proj.weight`, 0) },
    {
      key: 'vision_config.intermediate_size',
      got: vision.intermediate,
      stored: size(`${block}.mlp.gate_proj.weight`, 0),
    },
    { key: 'vision_config.patch_size', got: vision.patch, stored: root(over(pixels, 3 * vision.temporalPatch)) },
    {
      key: 'vision_config.spatial_merge_size',
      got: vision.merge,
      stored: root(over(size('visual.merger.mlp.0.weight', 0), vision.hidden)),
    },
    { key: 'vision_config.out_hidden_size', got: vision.outHidden, stored: size('visual.merger.mlp.2.weight', 0) },
  ]);
  return { ...numbers, text: { ...text, tied: text.tied && (await isOne(tensors)) } };
}

/** A name or its beginning, in both layouts. */
const spelled = (name: string): string[] => [name, newerName(name)];

function sizesOf(tensors: Tensors, name: string): readonly number[] | undefined {
  const stored = spelled(name).find((spelling) => tensors.has(spelling));
  return stored === undefined ? undefined : tensors.info(stored).shape;
}

/** Whether no head is stored, or one with the table's values. */
async function isOne(tensors: Tensors): Promise<boolean> {
  const table = spelled(TABLE).find((name) => tensors.has(name));
  return !tensors.has(HEAD) || table === undefined || (await tensors.same(table, HEAD));
}
