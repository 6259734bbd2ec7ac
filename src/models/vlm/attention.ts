/** Attention, block by block where there are many scores. */
import { count, sizeOf, type Shape, type Tensor } from '../../tensor/graph.js';
import type { EngineTraits } from '../../tensor/engine.js';
import {
  add,
  cast,
  concat,
  constant,
  dot,
  expand,
  inChunks,
  mul,
  neg,
  order,
  precisionInForce,
  reshape,
  slice,
  softmax,
  sub,
  sum,
  withGradient,
} from '../../tensor/ops.js';

/** Keys that some queries may see. */
export interface Memory {
  /** [prompt, kv, (sample,) key, hd], rotated. */
  readonly keys: Tensor;
  /** [prompt, kv, (sample,) key, hd] */
  readonly values: Tensor;
  /** Added to the scores, broadcast by name; none where all keys are seen. */
  readonly mask?: Tensor | undefined;
}

/** How many scores exist at once. */
export interface Blocks {
  /** Up to this many are computed together and kept for the backward pass. */
  readonly together: number;
  /** Scores of a block, if there are more. */
  readonly block: number;
}

/** On a CPU, blocks that fit its cache; on a GPU, blocks that are worth a kernel. */
export const BLOCKS: Readonly<Record<EngineTraits['device'], Blocks>> = {
  cpu: { together: 2 ** 22, block: 2 ** 19 },
  cuda: { together: 2 ** 24, block: 2 ** 24 },
};

/**
 * Softmax attention over all memories' keys together. Many scores are computed in blocks, forward and backward: the
 * outermost dimension of the queries is cut, with the keys and masks that have it, then the next if a block is still
 * too large. Several memories are never cut.
 *
 * @param queries [… , hd]; other dimensions shared with the keys are batch dimensions.
 * @param blocks those of a CPU by default.
 * @returns the dimensions of `queries`, in any order.
 * @see for blocks that the backward pass computes again, FlashAttention, arXiv:2205.14135
 */
export function attention(
  queries: Tensor,
  memories: readonly Memory[],
  scale: number,
  blocks: Blocks = BLOCKS.cpu,
): Tensor {
  const [only, ...others] = memories;
  if (!only || others.length > 0) return joint(queries, memories, scale);
  const inStep = only.keys.shape.flatMap(({ name }) => (name !== 'key' && name !== 'hd' ? [name] : []));
  const own = queries.shape.flatMap(({ name }) => (name !== 'hd' && !inStep.includes(name) ? [name] : []));
  const inputs = [
    order(queries, ...inStep, ...own, 'hd'),
    ...[only.keys, only.values].map((t) => order(t, ...inStep, 'key', 'hd')),
  ] as const;
  const mask = only.mask ? { mask: only.mask } : {};
  const few = scoresOf({ q: inputs[0], k: only.keys }) <= blocks.together;

  const forward = (...[q, k, v]: Tensor[]): readonly Tensor[] => {
    const parts = { q, k, v, ...mask } as Parts<'v'>;
    return few
      ? shared(parts, scale)
      : [inBlocks(parts, blocks.block, (block) => ({ out: shared(block, scale)[0] })).out];
  };
  const [out] = withGradient(inputs, forward, ([q, k, v], [y, shares], [dy]) => {
    const parts = { q, k, ...beside(v, y, dy as Tensor), ...mask } as Parts<'v1' | 'dy1'>;
    const { dq, dk, dv } = few
      ? adjoints(parts, shares, scale)
      : inBlocks(
          parts,
          blocks.block,
          (block) => adjoints(block, sharesOf(block, scale), scale),
          ({ k: part }) => ({ dk: part.shape, dv: part.shape }),
        );
    return [dq, dk, dv];
  });
  return out;
}

/** Inputs that are cut into blocks: queries, keys, a mask, and more. */
type Parts<Name extends string> = Readonly<Record<Name | 'q' | 'k', Tensor>> & { readonly mask?: Tensor };

const scoresOf = ({ q, k }: Parts<never>): number =>
  (count(q.shape) / (sizeOf(q, 'hd') as number)) * (sizeOf(k, 'key') as number);

/**
 * Applies `f` block by block.
 *
 * @param sums results that may lack the cut dimension, and are then summed.
 * @param over dimensions that may be cut, outermost first.
 */
function inBlocks<P extends Parts<never>, Key extends string>(
  parts: P,
  most: number,
  f: (block: P) => Readonly<Record<Key, Tensor>>,
  sums: (part: P) => Readonly<Record<string, Shape>> = () => ({}),
  over: Shape = parts.q.shape.slice(0, -1),
): Readonly<Record<Key, Tensor>> {
  const [dim, ...rest] = over;
  const scores = scoresOf(parts);
  if (!dim || scores <= most) return f(parts);
  const cut = Object.entries<Tensor>(parts).filter(([, t]) => sizeOf(t, dim.name) !== undefined);
  const size = Math.max(1, Math.floor((dim.size * most) / scores));
  const lacking = sizeOf(parts.k, dim.name) === undefined ? sums(parts) : {};
  return inChunks<readonly Tensor[], Key>(
    dim.name,
    size,
    cut.map(([, t]) => t),
    (...chunks) =>
      inBlocks({ ...parts, ...Object.fromEntries(cut.map(([name], i) => [name, chunks[i]])) }, most, f, sums, rest),
    lacking,
  );
}

/** Each key's share of each query's attention. */
function sharesOf({ q, k, mask }: Parts<never>, scale: number): Tensor {
  const scores = dot(q, k, 'hd', scale);
  return softmax(mask ? add(scores, mask) : scores, 'key');
}

/** The attention's output, and its shares. */
function shared(parts: Parts<'v'>, scale: number): readonly [Tensor, Tensor] {
  const shares = sharesOf(parts, scale);
  return [dot(shares, parts.v, 'key'), shares];
}

/**
 * Adjoints of queries, keys and values.
 *
 * With shares P the scores' adjoint is P ∘ (dY·Vᵀ − D), where D, one number a query, is the sum of dY ∘ Y.
 */
function adjoints(
  { q, k, v1, dy1 }: Parts<'v1' | 'dy1'>,
  shares: Tensor,
  scale: number,
): Readonly<Record<'dq' | 'dk' | 'dv', Tensor>> {
  const own = q.shape.flatMap(({ name }) => (sizeOf(k, name) === undefined ? [name] : []));
  const scores = mul(shares, dot(dy1, v1, 'hd'));
  return {
    dq: dot(scores, k, 'key', scale),
    dk: dot(scores, q, own, scale),
    dv: dot(shares, slice(dy1, 'hd', 0, sizeOf(q, 'hd') as number), own),
  };
}

/**
 * dY and V with extra columns, so that their product is dY·Vᵀ − D: a separate subtraction would need another value of
 * the scores' size.
 */
function beside(v: Tensor, y: Tensor, dy: Tensor): Readonly<Record<'v1' | 'dy1', Tensor>> {
  const less = neg(sum(mul(dy, y), 'hd'));
  const column = (t: Tensor): Tensor => reshape(t, [...t.shape, { name: 'hd', size: 1 }]);
  // The rounding error of half-precision products gets its own column.
  const high = cast(cast(less, precisionInForce()), 'float32');
  const columns = precisionInForce() === 'float32' ? [less] : [high, sub(less, high)];
  const ones = expand(constant([1], {}), v.shape.slice(0, -1));
  return {
    v1: concat([v, ...columns.map(() => column(ones))], 'hd'),
    dy1: concat([order(dy, ...less.shape.map(({ name }) => name), 'hd'), ...columns.map(column)], 'hd'),
  };
}

/** For several memories: all scores in one softmax. */
function joint(queries: Tensor, memories: readonly Memory[], scale: number): Tensor {
  const scores = memories.map(({ keys, mask }) => {
    const raw = dot(queries, keys, 'hd', scale);
    return mask ? add(raw, mask) : raw;
  });
  const shares = softmax(concat(scores, 'key'), 'key');
  let start = 0;
  return memories
    .map(({ keys, values }) => {
      const size = sizeOf(keys, 'key') as number;
      start += size;
      return dot(slice(shares, 'key', start - size, size), values, 'key');
    })
    .reduce((sum, part) => add(sum, part));
}
