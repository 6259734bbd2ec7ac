/** Which floating point products are computed in: a property of the program that is traced, not of the model's code. */
import { type Precision, type Tensor } from '../graph.js';
import { cast } from './elementwise.js';

let inForce: Precision = 'float32';

/**
 * Traces with matrix products, convolutions and attention in `precision`; float32 by default.
 *
 * All else, norms, softmax, sampling, losses and what layers add to, is float32 whatever is in force; gradients of what
 * is traced
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

/** Of products that are traced now. */
export const precisionInForce = (): Precision => inForce;

/** An operation in the precision in force: its inputs are cast to it, and its result to float32. */
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
