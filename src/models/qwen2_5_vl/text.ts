import { scoped, sizeOf, type Tensor } from '../../tensor/graph.js';
import {
  add,
  cast,
  concat,
  constant,
  expand,
  gather,
  greater,
  iota,
  merge,
  mul,
  order,
  recompute,
  rename,
  rmsNorm,
  rotate,
  silu,
  split,
  where,
} from '../../tensor/ops.js';
import { attention, type Blocks, type Memory } from '../vlm/attention.js';
import type { QwenConfig, TextConfig } from './config.js';
import { applyLinear, applyLinears } from '../vlm/linear.js';
import { within, type Weights } from '../vlm/weights.js';

/** Added to scores of what may not be attended to; exp of it is 0 beside any real score. */
export const HIDDEN = -1e30;

/** Half tables of the tokens' positions, [… , token, half]. */
export interface Rotary {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * How the tokens of one layer see each other and what came before: given their own keys and values, all that they may
 * see.
 */
export type Attend = (layer: number, own: Memory) => readonly Memory[];

/**
 * Token embeddings with image features in place of the image tokens.
 *
 * @param tokens int64, any dimensions.
 * @param features [visual, width]; none for text alone.
 * @param visual int64 as `tokens`: row of `features` at image tokens, -1 elsewhere.
 */
export function embed(weights: Weights, tokens: Tensor, features?: Tensor, visual?: Tensor): Tensor {
  const text = cast(gather(weights('model.embed_tokens.weight'), 'vocab', tokens), 'float32');
  if (!features || !visual) return text;
  const pictured = greater(visual, -1);
  return where(pictured, gather(features, 'visual', where(pictured, visual, 0)), text);
}

/**
 * What the backward pass computes again instead of having it kept: the inside of every layer, of the decoder and the
 * vision tower.
 */
export type Recompute = 'none' | 'layers';

/** How layers are computed. */
export interface Computing {
  /** Nothing unless told. */
  readonly recompute?: Recompute | undefined;
  /** How scores are cut. */
  readonly blocks?: Blocks | undefined;
}

/** Runs a layer so that its inside is kept for the backward pass, or computed again. */
export function remembered(
  recomputing: Recompute | undefined,
  x: Tensor,
  run: (x: Tensor) => readonly Tensor[],
): readonly Tensor[] {
  return recomputing === 'layers' ? recompute([x], run) : run(x);
}

/**
 * All layers on some tokens.
 *
 * @param x [prompt, (sample,) (token,) width]
 * @param options.keep told of every layer's own keys and values.
 * @returns as `x`, before the last norm.
 */
export function decoder(
  weights: Weights,
  { text }: QwenConfig,
  x: Tensor,
  rotary: Rotary,
  attend: Attend,
  options: Computing & { readonly keep?: (layer: number, own: Memory) => void } = {},
): Tensor {
  let hidden = x;
  for (let i = 0; i < text.layers; i++) {
    const [y, keys, values] = scoped(`model.layers.${i}`, () =>
      remembered(options.recompute, hidden, (h) =>
        layer(weights, text, i, h, rotary, (queries, own) =>
          attention(queries, attend(i, own), text.headDim ** -0.5, options.blocks),
        ),
      ),
    ) as [Tensor, Tensor, Tensor];
    options.keep?.(i, { keys, values });
    hidden = y;
  }
  return hidden;
}

/** Logits over the vocabulary, [… , vocab]. */
export function head(weights: Weights, { text }: QwenConfig, hidden: Tensor): Tensor {
  const table = weights.linear(text.tied ? 'model.embed_tokens' : 'lm_head');
  return scoped('lm_head', () => applyLinear(table, rmsNorm(hidden, weights('model.norm.weight'), 'width', text.eps)));
}

/** What the layer makes of its tokens, and their keys and values. */
function layer(
  weights: Weights,
  text: TextConfig,
  i: number,
  x: Tensor,
  rotary: Rotary,
  attended: (queries: Tensor, own: Memory) => Tensor,
): readonly [Tensor, Tensor, Tensor] {
  const weight = within(weights, `model.layers.${i}`);
  const h = rmsNorm(x, weight('input_layernorm.weight'), 'width', text.eps);
  const { queries, own } = project(weight, text, h, rotary);
  const o = attended(queries, own);
  const lead = x.shape.map(({ name }) => name).filter((name) => name !== 'width');
  const heads = merge(order(o, ...lead, 'kv', 'rep', 'hd'), ['kv', 'rep', 'hd'], 'heads');
  const y = add(x, applyLinear(weight.linear('self_attn.o_proj'), heads));
  return [
    add(y, mlp(weight, rmsNorm(y, weight('post_attention_layernorm.weight'), 'width', text.eps))),
    own.keys,
    own.values,
  ];
}

function mlp(weight: Weights, h: Tensor): Tensor {
  const [gate, up] = applyLinears(['mlp.gate_proj', 'mlp.up_proj'].map(weight.linear), h);
  return applyLinear(weight.linear('mlp.down_proj'), mul(silu(gate), up));
}

/** Queries [prompt, kv, (sample,) rep, (token,) hd], and the tokens' own keys and values. */
function project(
  weight: Weights,
  text: TextConfig,
  h: Tensor,
  rotary: Rotary,
): { readonly queries: Tensor; readonly own: Memory } {
  const { heads, kvHeads: kv, headDim: hd } = text;
  const layers = ['q_proj', 'k_proj', 'v_proj'].map((name) => weight.linear(`self_attn.${name}`));
  const [q, k, v] = applyLinears(layers, h).map((x) => split(x, 'out', { head: -1, hd })) as [Tensor, Tensor, Tensor];
  const turn = (x: Tensor): Tensor => rotate(x, rotary.cos, rotary.sin, 'hd');
  const inner = h.shape.map(({ name }) => name).filter((name) => name !== 'prompt' && name !== 'width');
  // Tokens beside keys, as a mask has them.
  const queries = order(
    split(turn(q), 'head', { kv, rep: heads / kv }),
    'prompt',
    'kv',
    ...inner.filter((name) => name !== 'token'),
    'rep',
    ...inner.filter((name) => name === 'token'),
    'hd',
  );
  const side = (t: Tensor): Tensor => {
    const ordered = order(rename(t, { head: 'kv' }), 'prompt', 'kv', ...inner, 'hd');
    return inner.includes('token') ? rename(ordered, { token: 'key' }) : ordered;
  };
  return { queries, own: { keys: side(turn(k)), values: side(v) } };
}

/** [token, key]: 0 where the key is not after the token, else HIDDEN. */
function causal(tokens: number): Tensor {
  const mask = Float32Array.from({ length: tokens * tokens }, (_, i) =>
    i % tokens <= Math.floor(i / tokens) ? 0 : HIDDEN,
  );
  return constant(mask, { token: tokens, key: tokens });
}

/** [prompt, key]: HIDDEN at the left padding, 0 behind it. @param padding int64 [prompt]: how many. */
export function paddingMask(padding: Tensor, keys: number): Tensor {
  return mul(cast(greater(padding, iota('key', keys)), 'float32'), HIDDEN);
}

/** The prompts' tokens among themselves: each sees itself and what is before it, without the padding. */
export function prefixAttention(padding: Tensor, tokens: number): Attend {
  const mask = order(add(causal(tokens), paddingMask(padding, tokens)), 'prompt', 'token', 'key');
  return (_, own) => [{ ...own, mask }];
}

/**
 * Completions behind the prefixes that their groups share: each token sees the prefix, itself and what is before it in
 * its own completion.
 *
 * Keys and values of the prefix are repeated for each sample: that is little beside the scores, which are then of one
 * piece.
 */
export function completionAttention(prefix: readonly Memory[], tokens: number): Attend {
  const own = causal(tokens);
  const joined = (before: Tensor, behind: Tensor): Tensor =>
    concat(
      [
        expand(
          before,
          behind.shape.map(({ name, size }) => ({
            name,
            size: name === 'key' ? (sizeOf(before, name) as number) : size,
          })),
        ),
        behind,
      ],
      'key',
    );
  const mask = prefix[0]?.mask;
  const seen = mask && joined(mask, expand(own, [mask.shape[0], ...own.shape]));
  return (layer, { keys, values }) => {
    const before = prefix[layer];
    return [
      { keys: joined(before.keys, keys), values: joined(before.values, values), ...(seen ? { mask: seen } : {}) },
    ];
  };
}
