import type { Layout } from './session.js';

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
  /** Share of a parameter lost in a step, times the learning rate; apart from the gradient. */
  readonly weightDecay?: number;
  /** Which entries decay, by name; all do unless it is given. */
  readonly decays?: (entry: string) => boolean;
  /** Factor on the gradient before anything else, such as `clipScale`. */
  readonly gradientScale?: number;
}

/** The state before the first step: zeros. */
export function adamState(layout: Layout): AdamState {
  return { first: new Float32Array(layout.length), second: new Float32Array(layout.length), step: 0 };
}

/**
 * One step of Adam with decoupled weight decay; `values` and `state` change in place, as `torch.optim.AdamW` changes them.
 *
 * @throws {RangeError} if an array is not as long as the layout; nothing is changed then.
 * @see arXiv:1711.05101, algorithm 2
 */
export function adamw(layout: Layout, values: Float32Array, gradient: Float32Array, state: AdamState, options: AdamOptions): void {
  for (const [name, { length }] of Object.entries({ values, gradient, first: state.first, second: state.second })) {
    if (length !== layout.length) throw new RangeError(`adamw: expected ${name} as long as the layout, ${layout.length}; got ${length}`);
  }
  const { learningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, decays = () => true, gradientScale = 1 } = options;
  const { first, second } = state;
  state.step += 1;
  const stepSize = learningRate / (1 - beta1 ** state.step);
  const spread = Math.sqrt(1 - beta2 ** state.step);
  for (const { name, offset, length } of layout.entries) {
    const kept = decays(name) ? 1 - learningRate * weightDecay : 1;
    for (let i = offset; i < offset + length; i++) {
      const g = gradient[i] * gradientScale;
      const m = beta1 * first[i] + (1 - beta1) * g;
      const v = beta2 * second[i] + (1 - beta2) * g * g;
      first[i] = m;
      second[i] = v;
      values[i] = values[i] * kept - (stepSize * m) / (Math.sqrt(v) / spread + epsilon);
    }
  }
}

/** Euclidean length of a gradient, summed in float64. */
export function gradientNorm(gradient: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < gradient.length; i++) squares += gradient[i] * gradient[i];
  return Math.sqrt(squares);
}

/** Factor that brings a gradient of length `norm` down to `max`: at most 1, as `torch.nn.utils.clip_grad_norm_` takes it. */
export function clipScale(norm: number, max: number): number {
  return Math.min(1, max / (norm + 1e-6));
}
