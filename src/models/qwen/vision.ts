import { scoped, sizeOf, type Tensor } from '../../tensor/graph.js';
import { add, concat, constant, dot, gather, gelu, lift, merge, mul, order, rename, reshape, rmsNorm, rotate, silu, slice, softmax, split, dims } from '../../tensor/ops.js';
import type { QwenConfig, VisionConfig } from './config.js';
import { visionRotary, windowOrder, type Grid } from './positions.js';
import { applyLinear } from './linear.js';
import { HIDDEN, remembered, type Recompute } from './text.js';
import { within, type Weights } from './weights.js';

const EPSILON = 1e-6;

/** Windows of one grid, each padded to the largest: which merged unit sits where, and which places are empty. */
interface Layout {
  readonly windows: number;
  /** Merged units a window. */
  readonly places: number;
  /** [windows × places]: raster unit at each place; 0 where empty. */
  readonly units: BigInt64Array;
  /** [units]: place of each raster unit. */
  readonly back: BigInt64Array;
  /** [windows, places × merge²]: 0 or HIDDEN; none where no place is empty. */
  readonly mask: Float32Array | undefined;
}

function layout(grid: Grid, vision: VisionConfig): Layout {
  const corners = vision.merge ** 2;
  const { order, bounds } = windowOrder(grid, vision);
  const windows = bounds.length - 1;
  const sizes = Array.from({ length: windows }, (_, w) => ((bounds[w + 1] as number) - (bounds[w] as number)) / corners);
  const places = Math.max(...sizes);
  const units = new BigInt64Array(windows * places);
  const back = new BigInt64Array(order.length);
  const mask = new Float32Array(windows * places * corners).fill(HIDDEN);
  let from = 0;
  for (const [w, size] of sizes.entries()) {
    for (let i = 0; i < size; i++) {
      const unit = order[from++] as number;
      units[w * places + i] = BigInt(unit);
      back[unit] = BigInt(w * places + i);
      mask.fill(0, (w * places + i) * corners, (w * places + i + 1) * corners);
    }
  }
  return { windows, places, units, back, mask: sizes.every((size) => size === places) ? undefined : mask };
}

/** Rows of a half table, one a patch in raster-unit order, repeated into window order. */
function inWindows(table: Float32Array, half: number, { windows, places, units }: Layout, corners: number): Tensor {
  const run = corners * half;
  const rows = new Float32Array(units.length * run);
  for (const [place, unit] of units.entries()) rows.set(table.subarray(Number(unit) * run, (Number(unit) + 1) * run), place * run);
  return constant(rows, { window: windows, slot: places * corners, half });
}

/**
 * The vision tower on images of one grid.
 *
 * @param pixels [image, patch, pixel], patches in merge-block order, as the processor gives them.
 * @returns [image, visual, width]: one feature a merged token, in raster order.
 * @see Qwen2.5-VL, arXiv:2502.13923, section 2.1.1.
 */
export function visionTower(weights: Weights, config: QwenConfig, pixels: Tensor, grid: Grid, recompute?: Recompute): Tensor {
  const { vision } = config;
  const corners = vision.merge ** 2;
  const at = layout(grid, vision);
  const rotary = visionRotary(grid, vision);
  const half = vision.hidden / vision.heads / 2;
  const cos = inWindows(rotary.cos, half, at, corners);
  const sin = inWindows(rotary.sin, half, at, corners);
  const mask = at.mask && constant(at.mask, { window: at.windows, key: at.places * corners });
  const images = sizeOf(pixels, 'image') as number;

  const patches = dot(pixels, weights('visual.patch_embed.proj.weight'), 'pixel');
  const units = split(patches, 'patch', { unit: -1, corner: corners });
  const placed = gather(units, 'unit', constant(at.units, { place: at.windows * at.places }));
  let x = reshape(placed, dims({ image: images, window: at.windows, slot: at.places * corners, vwidth: vision.hidden }));
  for (let i = 0; i < vision.depth; i++) {
    const whole = vision.fullAttention.includes(i) && at.windows > 1;
    [x] = scoped(`visual.blocks.${i}`, () => remembered(recompute, x, (h) => [block(weights, vision, i, h, { cos, sin, mask, whole })])) as [Tensor];
  }
  return scoped('visual.merger', () => {
    const normed = rmsNorm(x, weights('visual.merger.ln_q.weight'), 'vwidth', EPSILON);
    const merged = reshape(normed, dims({ image: images, place: at.windows * at.places, wide: corners * vision.hidden }));
    const raster = gather(merged, 'place', constant(at.back, { visual: at.back.length }));
    const wide = gelu(applyLinear(weights.linear('visual.merger.mlp.0'), raster));
    return applyLinear(weights.linear('visual.merger.mlp.2'), wide);
  });
}

interface Attending {
  readonly cos: Tensor;
  readonly sin: Tensor;
  readonly mask: Tensor | undefined;
  /** Whether a patch sees the whole image, or its own window. */
  readonly whole: boolean;
}

/** @param x [image, window, slot, vwidth] */
function block(weights: Weights, vision: VisionConfig, i: number, x: Tensor, attending: Attending): Tensor {
  const weight = within(weights, `visual.blocks.${i}`);
  const attended = attention(weight, vision, rmsNorm(x, weight('norm1.weight'), 'vwidth', EPSILON), attending);
  const y = add(x, attended);
  const h = rmsNorm(y, weight('norm2.weight'), 'vwidth', EPSILON);
  const [gate, up] = ['mlp.gate_proj', 'mlp.up_proj'].map((name) => applyLinear(weight.linear(name), h)) as [Tensor, Tensor];
  return add(y, applyLinear(weight.linear('mlp.down_proj'), mul(silu(gate), up)));
}

function attention(weight: Weights, vision: VisionConfig, h: Tensor, { cos, sin, mask, whole }: Attending): Tensor {
  const heads = vision.heads;
  const width = vision.hidden / heads;
  const qkv = split(applyLinear(weight.linear('attn.qkv'), h), 'qkv', { part: 3 * heads, hd: width });
  const images = sizeOf(h, 'image') as number;
  const table = (t: Tensor): Tensor => (images === 1 ? lift(t, 'image') : concat(Array.from({ length: images }, () => lift(t, 'image')), 'image'));
  const turned = rotate(slice(qkv, 'part', 0, 2 * heads), table(cos), table(sin), 'hd');
  const flat = (t: Tensor): Tensor => (whole ? merge(t, ['window', 'slot'], 'slot') : t);
  const q = flat(rename(slice(turned, 'part', 0, heads), { part: 'head' }));
  const k = rename(flat(slice(turned, 'part', heads, heads)), { part: 'head', slot: 'key' });
  const v = rename(flat(slice(qkv, 'part', 2 * heads, heads)), { part: 'head', slot: 'key' });
  const scores = dot(q, k, 'hd', width ** -0.5);
  const seen = mask && (whole ? merge(mask, ['window', 'key'], 'key') : mask);
  const o = dot(softmax(seen ? add(scores, seen) : scores, 'key'), v, 'key');
  const rows = whole ? ['image', 'slot'] : ['image', 'window', 'slot'];
  const out = applyLinear(weight.linear('attn.proj'), merge(order(o, ...rows, 'head', 'hd'), ['head', 'hd'], 'heads'));
  const windows = sizeOf(h, 'window') as number;
  return whole ? split(out, 'slot', { window: windows, slot: -1 }) : out;
}
