import { input, type Sizes } from '../../tensor/ops.js';
import type { Precision, Tensor } from '../../tensor/graph.js';
import type { Linear } from './linear.js';

/** A weight as graphs see it: matrices as [out, in], for any rank in the file. */
export interface WeightShape {
  /** As in released checkpoints: `model.layers.0…`, `visual.blocks.0…`, `lm_head.weight`. */
  readonly name: string;
  readonly sizes: Sizes;
}

/** A weight that no file has. */
export interface FirstValues extends WeightShape {
  /** Initial value of element `i`. */
  readonly first: (i: number) => number;
}

/** Format of a frozen weight in graphs whose products are in `precision`: matrices in that, vectors in float32. */
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

/** @param shapes from `weightShapes`, each with the type that it is held in: float32 by default. */
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
