import { scoped, sizeOf, type Tensor } from '../../tensor/graph.js';
import {
  add,
  concat,
  constant,
  dot,
  gather,
  gelu,
  lift,
  merge,
  mul,
  order,
  rename,
  reshape,
  rmsNorm,
  rotate,
  silu,
  slice,
  split,
  dims,
} from '../../tensor/ops.js';
import { attention, type Blocks } from '../vlm/attention.js';
import type { QwenConfig, VisionConfig } from './config.js';
import { visionRotary, windowOrder } from './positions.js';
import type { Computing } from '../vlm/architecture.js';
import { checkpointed } from '../vlm/decoder.js';
import { applyLinear } from '../vlm/linear.js';
import type { Grid } from '../vlm/patches.js';
import { within, type Weights } from '../vlm/weights.js';

const EPSILON = 1e-6;

/** Windows of as many patches, which lie one behind the other. */
interface Windows {
  readonly count: number;
  /** Patches of each. */
  readonly size: number;
}

/** Order of one grid's patches in the tower: by windows, equal sizes together, so that none needs a mask. */
interface Layout {
  readonly windows: readonly Windows[];
  /** [units]: raster unit at each place. */
  readonly units: BigInt64Array;
  /** [units]: place of each raster unit. */
  readonly back: BigInt64Array;
}

function layout(grid: Grid, vision: VisionConfig): Layout {
  const corners = vision.merge ** 2;
  const { order: raster, bounds } = windowOrder(grid, vision);
  const all = Array.from(bounds.subarray(1), (end, w) => ({
    start: bounds[w] / corners,
    end: end / corners,
  }));
  const lengths = [...new Set(all.map(({ start, end }) => end - start))].toSorted((a, b) => b - a);
  const alike = lengths.map((length) => all.filter(({ start, end }) => end - start === length));
  const units = BigInt64Array.from(
    alike.flat().flatMap(({ start, end }) => Array.from(raster.subarray(start, end))),
    BigInt,
  );
  const back = new BigInt64Array(units.length);
  for (const [place, unit] of units.entries()) back[Number(unit)] = BigInt(place);
  return {
    windows: alike.map(({ length: count }, i) => ({ count, size: lengths[i] * corners })),
    units,
    back,
  };
}

/** Rows of a half table, one a patch in raster-unit order, in the order of the places. */
function placed(table: Float32Array, half: number, units: BigInt64Array, corners: number): Tensor {
  const run = corners * half;
  const rows = new Float32Array(units.length * run);
  for (const [place, unit] of units.entries())
    rows.set(table.subarray(Number(unit) * run, (Number(unit) + 1) * run), place * run);
  return constant(rows, { slot: units.length * corners, half });
}

/**
 * The vision tower on images of one grid.
 *
 * @param pixels [image, patch, pixel], patches in the image processor's merge-block order.
 * @returns [image, visual, width]: one feature for each merged token, in raster order.
 * @see Qwen2.5-VL, arXiv:2502.13923, section 2.1.1.
 */
export function visionTower(
  weights: Weights,
  config: QwenConfig,
  pixels: Tensor,
  grid: Grid,
  { gradientCheckpointing, blocks }: Computing = {},
): Tensor {
  const { vision } = config;
  const corners = vision.merge ** 2;
  const at = layout(grid, vision);
  const rotary = visionRotary(grid, vision);
  const half = vision.hidden / vision.heads / 2;
  const cos = placed(rotary.cos, half, at.units, corners);
  const sin = placed(rotary.sin, half, at.units, corners);
  const everything = [{ count: 1, size: at.units.length * corners }];
  const images = sizeOf(pixels, 'image') as number;

  const patches = dot(pixels, weights('visual.patch_embed.proj.weight'), 'pixel');
  const units = split(patches, 'patch', { unit: -1, corner: corners });
  const ordered = gather(units, 'unit', constant(at.units, { place: at.units.length }));
  let x = reshape(ordered, dims({ image: images, slot: at.units.length * corners, vwidth: vision.hidden }));
  for (let i = 0; i < vision.depth; i++) {
    const windows = vision.fullAttention.includes(i) ? everything : at.windows;
    [x] = scoped(`visual.blocks.${i}`, () =>
      checkpointed(gradientCheckpointing, x, (h) => [block(weights, vision, i, h, { cos, sin, windows, blocks })]),
    ) as [Tensor];
  }
  return scoped('visual.merger', () => {
    const normed = rmsNorm(x, weights('visual.merger.ln_q.weight'), 'vwidth', EPSILON);
    const merged = reshape(normed, dims({ image: images, place: at.units.length, wide: corners * vision.hidden }));
    const raster = gather(merged, 'place', constant(at.back, { visual: at.back.length }));
    const wide = gelu(applyLinear(weights.linear('visual.merger.mlp.0'), raster));
    return applyLinear(weights.linear('visual.merger.mlp.2'), wide);
  });
}

interface Attending {
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** Which patches see each other. */
  readonly windows: readonly Windows[];
  readonly blocks: Blocks | undefined;
}

/** @param x [image, slot, vwidth] */
function block(weights: Weights, vision: VisionConfig, i: number, x: Tensor, attending: Attending): Tensor {
  const weight = within(weights, `visual.blocks.${i}`);
  const seen = attended(weight, vision, rmsNorm(x, weight('norm1.weight'), 'vwidth', EPSILON), attending);
  const y = add(x, seen);
  const h = rmsNorm(y, weight('norm2.weight'), 'vwidth', EPSILON);
  const [gate, up] = ['mlp.gate_proj', 'mlp.up_proj'].map((name) => applyLinear(weight.linear(name), h)) as [
    Tensor,
    Tensor,
  ];
  return add(y, applyLinear(weight.linear('mlp.down_proj'), mul(silu(gate), up)));
}

function attended(weight: Weights, vision: VisionConfig, h: Tensor, { cos, sin, windows, blocks }: Attending): Tensor {
  const heads = vision.heads;
  const width = vision.hidden / heads;
  const qkv = split(applyLinear(weight.linear('attn.qkv'), h), 'qkv', { part: 3 * heads, hd: width });
  const images = sizeOf(h, 'image') as number;
  const table = (t: Tensor): Tensor =>
    images === 1
      ? lift(t, 'image')
      : concat(
          Array.from({ length: images }, () => lift(t, 'image')),
          'image',
        );
  const turned = rotate(slice(qkv, 'part', 0, 2 * heads), table(cos), table(sin), 'hd');
  const [q, k, v] = [
    slice(turned, 'part', 0, heads),
    slice(turned, 'part', heads, heads),
    slice(qkv, 'part', 2 * heads, heads),
  ].map((t) => rename(t, { part: 'head' })) as [Tensor, Tensor, Tensor];
  let start = 0;
  const gathered = windows.map(({ count, size }) => {
    const from = start;
    start += count * size;
    const own = (t: Tensor, slot: string): Tensor =>
      split(slice(t, 'slot', from, count * size), 'slot', { window: count, [slot]: size });
    const o = attention(own(q, 'slot'), [{ keys: own(k, 'key'), values: own(v, 'key') }], width ** -0.5, blocks);
    return merge(
      merge(order(o, 'image', 'window', 'slot', 'head', 'hd'), ['head', 'hd'], 'heads'),
      ['window', 'slot'],
      'slot',
    );
  });
  return applyLinear(weight.linear('attn.proj'), concat(gathered, 'slot'));
}
