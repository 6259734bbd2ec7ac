import type { Layout } from './layout.js';

/** Moments of the gradients seen so far, in the parameters' layout; changed in place by each step. */
export interface AdamState {
  readonly first: Float32Array;
  readonly second: Float32Array;
  /** Steps taken. */
  step: number;
}

export interface AdamOptions {
  readonly learningRate: number;
  /** Share of the running mean of gradients that a step keeps. */
  readonly beta1?: number;
  /** Share of the running mean of squared gradients that a step keeps. */
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Share of a parameter lost in a step, times the learning rate; decoupled from the gradient. */
  readonly weightDecay?: number;
  /** Which entries decay, by name; all by default. */
  readonly decays?: (entry: string) => boolean;
  /** Factor on the gradient before anything else, such as `clipScale`. */
  readonly gradientScale?: number;
}

/** The state before the first step: zeros, on shared memory, so that threads can change them. */
export function adamState(layout: Layout): AdamState {
  const zeros = (): Float32Array => new Float32Array(new SharedArrayBuffer(4 * layout.length));
  return { first: zeros(), second: zeros(), step: 0 };
}

/**
 * One step of Adam with decoupled weight decay; `values` and `state` change in place, as `torch.optim.AdamW` changes
 * them.
 *
 * @returns whether all weights and moments are finite.
 * @throws {RangeError} if an array is not as long as the layout; nothing is changed then.
 * @see arXiv:1711.05101, algorithm 2
 */
export function adamw(
  layout: Layout,
  values: Float32Array,
  gradient: Float32Array,
  state: AdamState,
  options: AdamOptions,
): boolean {
  for (const [name, { length }] of Object.entries({ values, gradient, first: state.first, second: state.second })) {
    if (length !== layout.length)
      throw new RangeError(`adamw: expected ${name} as long as the layout, ${layout.length}; got ${length}`);
  }
  const { first, second } = state;
  state.step += 1;
  return updateAll({ values, gradient, first, second }, piecesOf(layout, state.step, options));
}

/** The arrays of a step, all of one length. */
export interface AdamArrays {
  readonly values: Float32Array;
  readonly gradient: Float32Array;
  readonly first: Float32Array;
  readonly second: Float32Array;
}

/** Neighbouring elements with the same settings in a step, and these settings. */
export interface AdamPiece {
  readonly from: number;
  readonly to: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly gradientScale: number;
  /** Share of a parameter that decay leaves. */
  readonly kept: number;
  readonly stepSize: number;
  /** Divides the root of the second moment. */
  readonly spread: number;
}

/** A step as pieces, one for each entry. @param step counts steps from 1. */
export function piecesOf(layout: Layout, step: number, options: AdamOptions): AdamPiece[] {
  const {
    learningRate,
    beta1 = 0.9,
    beta2 = 0.999,
    epsilon = 1e-8,
    weightDecay = 0,
    decays = () => true,
    gradientScale = 1,
  } = options;
  const stepSize = learningRate / (1 - beta1 ** step);
  const spread = Math.sqrt(1 - beta2 ** step);
  return layout.entries.map(({ name, offset, length }) => ({
    from: offset,
    to: offset + length,
    beta1,
    beta2,
    epsilon,
    gradientScale,
    kept: decays(name) ? 1 - learningRate * weightDecay : 1,
    stepSize,
    spread,
  }));
}

/** Changes the arrays within each piece, in place. @returns whether all weights and moments are finite. */
export function updateAll(arrays: AdamArrays, pieces: readonly AdamPiece[]): boolean {
  return pieces.map((piece) => update(arrays, piece)).every(Boolean);
}

function update({ values, gradient, first, second }: AdamArrays, piece: AdamPiece): boolean {
  const { from, to, beta1, beta2, epsilon, gradientScale, kept, stepSize, spread } = piece;
  // A number less itself is 0, but NaN for what is infinite or NaN: a branch for each element would take longer.
  let nothing = 0;
  for (let i = from; i < to; i++) {
    const g = gradient[i] * gradientScale;
    const m = beta1 * first[i] + (1 - beta1) * g;
    const v = beta2 * second[i] + (1 - beta2) * g * g;
    const value = values[i] * kept - (stepSize * m) / (Math.sqrt(v) / spread + epsilon);
    first[i] = m;
    second[i] = v;
    values[i] = value;
    const stored = Math.fround(m) + Math.fround(v) + Math.fround(value);
    nothing += stored - stored;
  }
  return nothing === 0;
}

/** Euclidean length of a gradient, summed in float64. */
export function gradientNorm(gradient: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < gradient.length; i++) squares += gradient[i] * gradient[i];
  return Math.sqrt(squares);
}

/**
 * Factor that brings a gradient of length `norm` down to `max`: at most 1, as `torch.nn.utils.clip_grad_norm_` takes
 * it.
 */
export function clipScale(norm: number, max: number): number {
  return Math.min(1, max / (norm + 1e-6));
}
