import { scoped, sizeOf, type Tensor } from '../../tensor/graph.js';
import {
  add,
  attend,
  constant,
  convolve,
  expand,
  dims,
  gelu,
  layerNorm,
  linear,
  max,
  merge,
  order,
  pad,
  rename,
  slice,
  split,
} from '../../tensor/ops.js';
import type { Sam2Config, Stage } from './config.js';
import { cellPositions } from './position.js';
import type { Weights } from './weights.js';

/**
 * An image's features for the decoder; cells are ordered by the pixels of the coarsest level, finer ones inside them.
 */
export interface Features {
  /** [pixel, width]: the coarsest level, S/16 by S/16. */
  readonly image: Tensor;
  /** [pixel, half, fine]: the level twice as fine, `half` being its place in the pixel, row by row. */
  readonly fine: Tensor;
  /** [pixel, half, quarter, finest]: the level four times as fine. */
  readonly finest: Tensor;
}

/** Cells as a raster [row, column, c], or cut into windows [wr, wc, row, column, c]. */
interface Cells {
  readonly t: Tensor;
  /** Side of a window; 0 where there are none. */
  readonly window: number;
}

const COARSE = 16;

/**
 * Hiera and its neck.
 *
 * @param pixels [channel 3, row, column], normalised.
 * @see Ryali et al., Hiera, arXiv:2306.00989; SAM 2, arXiv:2408.00714, appendix.
 */
export function encoder(weights: Weights, config: Sam2Config, pixels: Tensor): Features {
  const features: Tensor[] = [];
  let cells = embedded(weights, config, pixels);
  let block = 0;
  for (const [s, stage] of config.stages.entries()) {
    const before = config.stages[s - 1];
    for (let i = 0; i < stage.blocks; i++, block++) {
      const first = i === 0 && before !== undefined;
      const window = config.global.includes(block) ? 0 : (first ? before : stage).window;
      cells = scoped(`backbone.blocks.${block}`, () =>
        hieraBlock(weights, config, block, cells, {
          stage,
          into: first ? before.width : stage.width,
          window,
          pools: first,
        }),
      );
    }
    features.push(raster(cells, config.size / 4 / 2 ** s));
  }
  return scoped('neck', () => neck(weights, config, features));
}

function embedded(weights: Weights, { stages, size, background }: Sam2Config, pixels: Tensor): Cells {
  const at = 'vision_encoder.backbone';
  const [{ width, window }] = stages as [Stage];
  const side = size / 4;
  const kernel = weights.tensor(`${at}.patch_embed.projection.weight`, { c: width, channel: 3, high: 7, wide: 7 });
  const patches = convolve(pixels, kernel, weights.tensor(`${at}.patch_embed.projection.bias`, { c: width }), 4, 3);
  const table = cellPositions(
    weights.values(`${at}.pos_embed`),
    background,
    weights.values(`${at}.pos_embed_window`),
    window,
    side,
  );
  const raster = add(order(patches, 'row', 'column', 'c'), constant(table, { row: side, column: side, c: width }));
  return { t: raster, window: 0 };
}

interface Block {
  readonly stage: Stage;
  /** Input width. */
  readonly into: number;
  /** Side of an attention window, 0 for the whole image. */
  readonly window: number;
  /** Whether the sides are halved. */
  readonly pools: boolean;
}

function hieraBlock(weights: Weights, { epsilon, mlpRatio }: Sam2Config, i: number, cells: Cells, block: Block): Cells {
  const { stage, into, window, pools } = block;
  const weight = (name: string, sizes: Record<string, number>, first = 0): Tensor =>
    weights.tensor(`vision_encoder.backbone.blocks.${i}.${name}`, sizes, first);
  const norm = (n: 1 | 2, x: Tensor, c: number): Tensor =>
    layerNorm(x, weight(`layer_norm${n}.weight`, { c }), weight(`layer_norm${n}.bias`, { c }), epsilon);
  const side = sideOf(cells);
  const padded = window > 0 && side % window !== 0;
  // A block with global attention takes cells in any order; after a padded one they return to raster order.
  const x =
    window === 0 ? cells : padded ? { t: raster(cells, side), window: 0 } : { t: windows(cells, window), window };

  const h = norm(1, x.t, into);
  const { width } = stage;
  const projected = pools
    ? pooled(
        rename(linear(h, weight('proj.weight', { wider: width, c: into }), weight('proj.bias', { wider: width })), {
          wider: 'c',
        }),
      )
    : x.t;
  const attended = attention(weight, block, padded ? windows({ t: h, window: 0 }, window) : h);
  const after = pools ? { side: side / 2, window: x.window / 2 } : { side, window: x.window };
  const y = add(
    projected,
    padded ? raster({ t: attended, window: pools ? window / 2 : window }, after.side) : attended,
  );

  const inner = Math.trunc(width * mlpRatio);
  const wide = gelu(
    linear(norm(2, y, width), weight('mlp.proj_in.weight', { inner, c: width }), weight('mlp.proj_in.bias', { inner })),
  );
  return {
    t: add(
      y,
      linear(wide, weight('mlp.proj_out.weight', { c: width, inner }), weight('mlp.proj_out.bias', { c: width })),
    ),
    window: after.window,
  };
}

type BlockWeight = (name: string, sizes: Record<string, number>, first?: number) => Tensor;

/** Attention within each window of `h`, or of all its cells to each other. */
function attention(weight: BlockWeight, { stage: { width, heads }, into, window, pools }: Block, h: Tensor): Tensor {
  const part = (n: number): Tensor =>
    linear(
      h,
      weight('attn.qkv.weight', { a: width, c: into }, n * width * into),
      weight('attn.qkv.bias', { a: width }, n * width),
    );
  const query = pools ? pooled(part(0)) : part(0);
  const places = window === 0 ? query.shape.slice(0, -1).map(({ name }) => name) : ['row', 'column'];
  const flat = (t: Tensor, into: string): Tensor => merge(t, places, into);
  const attended = attend(flat(query, 'token'), flat(part(1), 'key'), flat(part(2), 'key'), heads);
  const cells = split(
    attended,
    'token',
    Object.fromEntries(places.map((name) => [name, sizeOf(query, name) as number])),
  );
  return linear(cells, weight('attn.proj.weight', { c: width, a: width }), weight('attn.proj.bias', { c: width }));
}

/** The largest of each two by two cells. */
function pooled(x: Tensor): Tensor {
  return max(max(split(split(x, 'row', { row: -1, dr: 2 }), 'column', { column: -1, dc: 2 }), 'dr'), 'dc');
}

function sideOf({ t, window }: Cells): number {
  return (window > 0 ? (sizeOf(t, 'wr') as number) : 1) * (sizeOf(t, 'row') as number);
}

/** Cells in windows of another side, zeros at the right and bottom where it does not fit. */
function windows(cells: Cells, window: number): Tensor {
  if (cells.window === window) return cells.t;
  const side = sideOf(cells);
  const more = (window - (side % window)) % window;
  const whole = pad(pad(raster(cells, side), 'row', 0, more), 'column', 0, more);
  return order(
    split(split(whole, 'row', { wr: -1, row: window }), 'column', { wc: -1, column: window }),
    'wr',
    'wc',
    'row',
    'column',
    'c',
  );
}

/** Cells row by row, without the padding at the right and bottom. */
function raster({ t, window }: Cells, side: number): Tensor {
  if (window === 0) return t;
  const whole = merge(
    merge(order(t, 'wr', 'row', 'wc', 'column', 'c'), ['wr', 'row'], 'row'),
    ['wc', 'column'],
    'column',
  );
  return slice(slice(whole, 'row', 0, side), 'column', 0, side);
}

/** The product of two consecutive linear layers. */
function folded(
  outer: Float32Array,
  outerBias: Float32Array,
  inner: Float32Array,
  innerBias: Float32Array,
): { readonly weight: Float32Array; readonly bias: Float32Array } {
  const middle = innerBias.length;
  const [out, into] = [outerBias.length, inner.length / middle];
  const weight = new Float32Array(out * into);
  const bias = new Float32Array(out);
  for (let o = 0; o < out; o++) {
    const row = new Float64Array(into);
    let sum = outerBias[o];
    for (let m = 0; m < middle; m++) {
      const factor = outer[o * middle + m];
      sum += factor * innerBias[m];
      for (let i = 0; i < into; i++) row[i] += factor * inner[m * into + i];
    }
    weight.set(row, o * into);
    bias[o] = sum;
  }
  return { weight, bias };
}

/**
 * One width at three levels. Only the coarsest kept level adds a coarser one; the finer ones are projected to the
 * decoder's widths directly.
 */
function neck(weights: Weights, { stages, width, size }: Sam2Config, features: readonly Tensor[]): Features {
  const values = (name: string): readonly [Float32Array, Float32Array] => [
    weights.values(`${name}.weight`),
    weights.values(`${name}.bias`),
  ];
  const conv = (level: number): string => `vision_encoder.neck.convs.${3 - level}`;
  const finer = (level: 0 | 1, name: string, out: number): Tensor => {
    const { weight, bias } = folded(...values(`mask_decoder.conv_s${level}`), ...values(conv(level)));
    return linear(
      features[level],
      constant(weight, { [name]: out, c: stages[level].width }),
      constant(bias, { [name]: out }),
    );
  };
  const lateral = (level: number, more?: Float32Array): Tensor => {
    const [weight, bias] = values(conv(level));
    return linear(
      features[level],
      constant(weight, { width, c: stages[level].width }),
      constant(more ? bias.map((b, i) => b + more[i]) : bias, { width }),
    );
  };
  const side = size / COARSE;
  const coarser = rename(lateral(3), { row: 'half_row', column: 'half_column' });
  const doubled = expand(coarser, dims({ half_row: side / 2, dr: 2, half_column: side / 2, dc: 2, width }));
  const above = merge(merge(doubled, ['half_row', 'dr'], 'row'), ['half_column', 'dc'], 'column');
  const image = add(lateral(2, weights.values('no_memory_embedding')), above);
  const fine = split(split(finer(1, 'fine', width / 4), 'row', { row: -1, y: 2 }), 'column', { column: -1, x: 2 });
  const finest = split(split(finer(0, 'finest', width / 8), 'row', { row: -1, y: 2, y2: 2 }), 'column', {
    column: -1,
    x: 2,
    x2: 2,
  });
  return {
    image: merge(image, ['row', 'column'], 'pixel'),
    fine: merge(merge(order(fine, 'row', 'column', 'y', 'x', 'fine'), ['row', 'column'], 'pixel'), ['y', 'x'], 'half'),
    finest: merge(
      merge(
        merge(order(finest, 'row', 'column', 'y', 'x', 'y2', 'x2', 'finest'), ['row', 'column'], 'pixel'),
        ['y', 'x'],
        'half',
      ),
      ['y2', 'x2'],
      'quarter',
    ),
  };
}
