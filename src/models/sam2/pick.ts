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

/** The mask that is the answer among an object's four. */
export interface Picked {
  /** [object, cell] */
  readonly logits: Tensor;
  /** [object]: which of the four it is, int64. */
  readonly output: Tensor;
  /** [object]: what its IoU with the truth is thought to be, in [0, 1]. */
  readonly iou: Tensor;
}

/**
 * Picks among four masks where they are made, so that no other is copied out of the graph.
 *
 * @param multimask the best of three, by what it thinks of itself; else the single one, unless it is unstable: then the
 * best of three.
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
