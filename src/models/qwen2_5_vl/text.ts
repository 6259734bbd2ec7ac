/** The decoder layers of Qwen2.5-VL. */
import type { Tensor } from '../../tensor/graph.js';
import { add, merge, mul, order, rename, rmsNorm, rotate, silu, split } from '../../tensor/ops.js';
import type { LayerOutput, Rotary } from '../vlm/architecture.js';
import type { Memory } from '../vlm/attention.js';
import { applyLinear, applyLinears } from '../vlm/linear.js';
import { within, type Weights } from '../vlm/weights.js';
import type { QwenConfig, TextConfig } from './config.js';

/** Output of layer `index` for its tokens, and their keys and values. */
export function decoderLayer(
  weights: Weights,
  { text }: QwenConfig,
  index: number,
  x: Tensor,
  rotary: Rotary,
  attend: (queries: Tensor, own: Memory) => Tensor,
): LayerOutput {
  const weight = within(weights, `model.layers.${index}`);
  const h = rmsNorm(x, weight('input_layernorm.weight'), 'width', text.eps);
  const { queries, own } = project(weight, text, h, rotary);
  const o = attend(queries, own);
  const lead = x.shape.map(({ name }) => name).filter((name) => name !== 'width');
  const heads = merge(order(o, ...lead, 'kv', 'rep', 'hd'), ['kv', 'rep', 'hd'], 'heads');
  const y = add(x, applyLinear(weight.linear('self_attn.o_proj'), heads));
  const hidden = add(y, mlp(weight, rmsNorm(y, weight('post_attention_layernorm.weight'), 'width', text.eps)));
  return { hidden, keys: own.keys, values: own.values };
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
