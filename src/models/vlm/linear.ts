/** Linear layers, and LoRA adapters on them. */
import { count, sizeOf, type Dim, type Tensor } from '../../tensor/graph.js';
import { add, concat, constant, dims, dot, expand, mul, pad, slice } from '../../tensor/ops.js';

/** x · weightᵀ + bias; with an adapter + B · (scale · A · x) too. */
export interface Linear {
  /** [out, in] */
  readonly weight: Tensor;
  /** [out] */
  readonly bias?: Tensor;
  readonly adapter?: LowRank;
}

/** LoRA matrices beside a checkpoint's own, which are unchanged: x · W + scale · B · (A · x). @see arXiv:2106.09685 */
export interface Adapter {
  readonly rank: number;
  readonly scale: number;
  /** The adapted matrices, as `weightShapes` names them. */
  readonly matrices: readonly string[];
  /** Rank and scale of the matrices that have their own. */
  readonly own?: ReadonlyMap<string, { readonly rank: number; readonly scale: number }>;
}

/** Rank and scale of an adapted matrix. */
export function adaptedBy(adapter: Adapter, matrix: string): { readonly rank: number; readonly scale: number } {
  return adapter.own?.get(matrix) ?? adapter;
}

/** Both sides of an adapter of one layer. @see arXiv:2106.09685 */
export interface LowRank {
  /** A, [rank, in]. */
  readonly down: Tensor;
  /** B, [out, rank]. */
  readonly up: Tensor;
  readonly scale: number;
}

const ends = ({ weight }: Linear): { readonly out: Dim; readonly into: Dim } => ({
  out: weight.shape[0],
  into: weight.shape[1],
});

/** A layer's output, [… , out], for `x` [… , in]; its weight is unchanged, with or without an adapter. */
export function applyLinear(layer: Linear, x: Tensor): Tensor {
  const { weight, bias, adapter } = layer;
  const into = ends(layer).into.name;
  const product = dot(x, weight, into);
  const y = bias ? add(product, bias) : product;
  return adapter ? add(y, dot(dot(x, adapter.down, into, adapter.scale), adapter.up, 'rank')) : y;
}

/** Matrices up to this many weights are joined: a copy of larger ones costs more memory than it is worth. */
export const JOINED = 2 ** 21;

/**
 * Outputs of several layers for one `x`, as one product where a single token is read: the joined matrix is made once,
 * outside the loop. With many tokens, joining and splitting would cost more than the products.
 *
 * @param layers with the same names of dimensions; all have a bias, or none.
 */
export function applyLinears(layers: readonly Linear[], x: Tensor): Tensor[] {
  const weights = layers.reduce((sum, { weight }) => sum + count(weight.shape), 0);
  if (sizeOf(x, 'token') !== undefined || weights > JOINED) return layers.map((layer) => applyLinear(layer, x));
  const product = applyLinear(join(layers), x);
  let start = 0;
  return layers.map((layer) => {
    const { name, size } = ends(layer).out;
    start += size;
    return slice(product, name, start - size, size);
  });
}

/** The layer whose output concatenates those of several. */
function join(layers: readonly Linear[]): Linear {
  const out = ends(layers[0]).out.name;
  const biases = layers.flatMap(({ bias }) => bias ?? []);
  const adapter = joinAdapters(layers, out);
  return {
    weight: concat(
      layers.map(({ weight }) => weight),
      out,
    ),
    ...(biases.length > 0 ? { bias: concat(biases, out) } : {}),
    ...(adapter ? { adapter } : {}),
  };
}

/** All A stacked, and a block-diagonal matrix of all B. */
function joinAdapters(layers: readonly Linear[], out: string): LowRank | undefined {
  const adapters = layers.flatMap(({ adapter }) => adapter ?? []);
  const [first] = adapters;
  if (!first) return undefined;
  const down = concat(
    adapters.map((each) => each.down),
    'rank',
  );
  const rank = sizeOf(down, 'rank') as number;
  const alike = adapters.every(({ scale }) => scale === first.scale);
  let start = 0;
  const rows = layers.map((layer) => {
    if (!layer.adapter) return expand(constant([0], {}), dims({ [out]: ends(layer).out.size, rank }));
    const { up: plain, scale } = layer.adapter;
    const up = alike ? plain : mul(plain, scale);
    const own = sizeOf(up, 'rank') as number;
    start += own;
    return pad(up, 'rank', start - own, rank - start);
  });
  return { down, up: concat(rows, out), scale: alike ? first.scale : 1 };
}

/** A layer's weight with its adapter merged: W + scale · B · A, [out, in]. */
export function mergeLinear({ weight, adapter }: Linear): Tensor {
  return adapter ? add(weight, dot(adapter.up, adapter.down, 'rank', adapter.scale)) : weight;
}
