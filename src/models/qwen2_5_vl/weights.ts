/** The weights of a Qwen2.5-VL: their names and shapes. */
import type { Sizes } from '../../tensor/ops.js';
import type { WeightShape } from '../vlm/weights.js';
import type { QwenConfig } from './config.js';

/** As newer files have it, with the language model nested: `model.language_model.layers…`, `model.visual…`. */
export function newerName(name: string): string {
  if (name.startsWith('visual.')) return `model.${name}`;
  return name.startsWith('model.') ? `model.language_model.${name.slice('model.'.length)}` : name;
}

/** Every weight of a checkpoint, in the order of the computation. */
export function weightShapes(config: QwenConfig): WeightShape[] {
  return [...visionShapes(config), ...textShapes(config)];
}

function visionShapes({ vision }: QwenConfig): WeightShape[] {
  const { hidden: vwidth, intermediate: vinner, patch, temporalPatch, merge, outHidden: width } = vision;
  const wide = vwidth * merge * merge;
  const block = (i: number): WeightShape[] => {
    const at = (name: string, sizes: Sizes): WeightShape => ({ name: `visual.blocks.${i}.${name}`, sizes });
    return [
      at('norm1.weight', { vwidth }),
      at('attn.qkv.weight', { qkv: 3 * vwidth, vwidth }),
      at('attn.qkv.bias', { qkv: 3 * vwidth }),
      at('attn.proj.weight', { vwidth, heads: vwidth }),
      at('attn.proj.bias', { vwidth }),
      at('norm2.weight', { vwidth }),
      ...['gate_proj', 'up_proj'].flatMap((name) => [
        at(`mlp.${name}.weight`, { inner: vinner, vwidth }),
        at(`mlp.${name}.bias`, { inner: vinner }),
      ]),
      at('mlp.down_proj.weight', { vwidth, inner: vinner }),
      at('mlp.down_proj.bias', { vwidth }),
    ];
  };
  return [
    { name: 'visual.patch_embed.proj.weight', sizes: { vwidth, pixel: 3 * temporalPatch * patch * patch } },
    ...Array.from({ length: vision.depth }, (_, i) => block(i)).flat(),
    { name: 'visual.merger.ln_q.weight', sizes: { vwidth } },
    { name: 'visual.merger.mlp.0.weight', sizes: { out: wide, wide } },
    { name: 'visual.merger.mlp.0.bias', sizes: { out: wide } },
    { name: 'visual.merger.mlp.2.weight', sizes: { width, out: wide } },
    { name: 'visual.merger.mlp.2.bias', sizes: { width } },
  ];
}

function textShapes({ text }: QwenConfig): WeightShape[] {
  const { vocab, hidden: width, intermediate: inner, heads, kvHeads, headDim } = text;
  const layer = (i: number): WeightShape[] => {
    const at = (name: string, sizes: Sizes): WeightShape => ({ name: `model.layers.${i}.${name}`, sizes });
    const projection = (name: string, count: number): WeightShape[] => [
      at(`self_attn.${name}.weight`, { out: count * headDim, width }),
      at(`self_attn.${name}.bias`, { out: count * headDim }),
    ];
    return [
      at('input_layernorm.weight', { width }),
      ...projection('q_proj', heads),
      ...projection('k_proj', kvHeads),
      ...projection('v_proj', kvHeads),
      at('self_attn.o_proj.weight', { width, heads: heads * headDim }),
      at('post_attention_layernorm.weight', { width }),
      at('mlp.gate_proj.weight', { inner, width }),
      at('mlp.up_proj.weight', { inner, width }),
      at('mlp.down_proj.weight', { width, inner }),
    ];
  };
  return [
    { name: 'model.embed_tokens.weight', sizes: { vocab, width } },
    ...Array.from({ length: text.layers }, (_, i) => layer(i)).flat(),
    { name: 'model.norm.weight', sizes: { width } },
    ...(text.tied ? [] : [{ name: 'lm_head.weight', sizes: { vocab, width } }]),
  ];
}
