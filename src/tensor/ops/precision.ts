/** The floating-point format of products: a property of the traced graph, not of the model's code. */
import { type Precision, type Tensor } from '../graph.js';
import { cast } from './elementwise.js';

let inForce: Precision = 'float32';

/**
 * Traces with matrix products, convolutions and attention in `precision`; float32 by default.
 *
 * Norms, softmax, sampling, losses and the residual stream are always float32. Gradients of tensors that are traced
 * inside must be taken inside, too.
 */
export function inPrecision<T>(precision: Precision, trace: () => T): T {
  const before = inForce;
  inForce = precision;
  try {
    return trace();
  } finally {
    inForce = before;
  }
}

/** Precision of products that are traced now. */
export const precisionInForce = (): Precision => inForce;

/** An operation in the current precision: its inputs are cast to it, and its result to float32. */
export function computed(
  inputs: readonly Tensor[],
  operation: (inputs: readonly Tensor[], dtype: Precision) => Tensor,
): Tensor {
  const precision = inForce;
  return cast(
    operation(
      inputs.map((x) => cast(x, precision)),
      precision,
    ),
    'float32',
  );
}
