import type { Tensor } from '../../tensor/graph.js';
import {
  add,
  argmax,
  cast,
  div,
  dot,
  drop,
  equal,
  greater,
  iota,
  maximum,
  mul,
  pick,
  slice,
  sum,
  where,
} from '../../tensor/ops.js';
import type { DecoderConfig } from './config.js';
import type { Answers } from './decoder.js';

/** The chosen mask among an object's four. */
export interface Picked {
  /** [object, cell] */
  readonly logits: Tensor;
  /** [object]: which of the four it is, int64. */
  readonly output: Tensor;
  /** [object]: predicted IoU with the ground truth, in [0, 1]. */
  readonly iou: Tensor;
}

/**
 * Picks one of four masks inside the graph, so that no other is copied out.
 *
 * @param multimask whether to take the best of three by predicted IoU always, or only if the single one is unstable.
 */
export function picked(
  { logits, iou }: Omit<Answers, 'score'>,
  stability: DecoderConfig['stability'],
  multimask: boolean,
): Picked {
  const best = add(argmax(slice(iou, 'mask', 1, 3), 'mask'), 1);
  const output = multimask
    ? best
    : mul(best, stability ? unstable(drop(slice(logits, 'mask', 0, 1), 'mask'), stability) : 0);
  const chosen = cast(equal(iota('mask', 4), output), 'float32');
  return { logits: dot(chosen, logits, 'mask'), output, iou: pick(iou, 'mask', output) };
}

/**
 * 1 where the IoU of what is above `delta` with what is above `-delta` is under the threshold, and something is; else
 * 0.
 *
 * @param single [object, cell]
 */
function unstable(single: Tensor, { delta, threshold }: NonNullable<DecoderConfig['stability']>): Tensor {
  const above = (level: number): Tensor => sum(cast(greater(single, level), 'float32'), 'cell');
  const around = above(-delta);
  const share = where(greater(around, 0), div(above(delta), maximum(around, 1)), 1);
  return cast(greater(threshold, share), 'int64');
}
