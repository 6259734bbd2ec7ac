import { input, type Sizes } from '../../tensor/ops.js';
import type { Precision, Tensor } from '../../tensor/graph.js';
import type { QwenConfig } from '../qwen2_5_vl/config.js';
import type { Linear } from './linear.js';

/** A weight as graphs see it: matrices as [out, in], whatever the file's rank. */
export interface WeightShape {
  /** As in released checkpoints: `model.layers.0…`, `visual.blocks.0…`, `lm_head.weight`. */
  readonly name: string;
  readonly sizes: Sizes;
}

/** A weight that no file has. */
export interface FirstValues extends WeightShape {
  /** What its element `i` begins at. */
  readonly first: (i: number) => number;
}

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

/**
 * What graphs take a frozen weight in, where products are computed in `precision`: matrices in it, vectors, which are
 * added and scaled by, in float32.
 */
export const heldIn = ({ sizes }: Pick<WeightShape, 'sizes'>, precision: Precision): Precision =>
  Object.keys(sizes).length > 1 ? precision : 'float32';

/** A model's weights as graph inputs, each traced once. @throws {Error} for a name that the architecture has not. */
export interface Weights {
  /** As the checkpoint has it. */
  (name: string): Tensor;
  /** The linear layer of a module such as `model.layers.0.mlp.up_proj`, with its bias where it has one. */
  readonly linear: (module: string) => Linear;
}

/** The weights of a module, by their names within it. */
export function within(weights: Weights, module: string): Weights {
  return Object.assign((name: string) => weights(`${module}.${name}`), {
    linear: (name: string) => weights.linear(`${module}.${name}`),
  });
}

/** @param shapes as `weightShapes` gives them, each with the type that it is held in: float32 unless told. */
export function weightInputs(
  shapes: readonly (WeightShape & { readonly dtype?: Precision })[],
): Weights & { readonly traced: () => readonly { readonly name: string; readonly tensor: Tensor }[] } {
  const known = new Map(shapes.map((shape) => [shape.name, shape]));
  const made = new Map<string, Tensor>();
  const of = (name: string): Tensor => {
    const shape = known.get(name);
    if (!shape) throw new Error(`${name}: expected a weight of this architecture; got none of that name`);
    const tensor = made.get(name) ?? input(name, shape.dtype ?? 'float32', shape.sizes);
    made.set(name, tensor);
    return tensor;
  };
  const linear = (module: string): Linear => {
    const bias = `${module}.bias`;
    return { weight: of(`${module}.weight`), ...(known.has(bias) ? { bias: of(bias) } : {}) };
  };
  return Object.assign(of, { linear, traced: () => [...made].map(([name, tensor]) => ({ name, tensor })) });
}
