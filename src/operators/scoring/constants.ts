import type { Box, Point, Prompt, Size } from '../../records.js';
import { estimator, type Estimate } from './estimate.js';

/** The reward of one fixed completion, the same for every image. */
export interface Constant {
  /** In pixels of the first row's frame. */
  readonly box: Box;
  readonly reward: Estimate;
}

/** Distances of the boxes from the frame's edge, in 112ths of its side. */
const MARGINS = [4, 16, 28, 36];
const SIDE = 112;

/**
 * Fixed completions: boxes around the middle, from nearly the whole frame to a third of it, with a click on the centre.
 */
export function constantPrompts(frame: Size): Prompt[] {
  const { width, height } = frame;
  const centre: Point = { x: Math.floor(width / 2), y: Math.floor(height / 2), label: 1 };
  return MARGINS.map((margin) => {
    const [x, y] = [Math.round((margin / SIDE) * width), Math.round((margin / SIDE) * height)];
    return { frame, objects: [{ box: [x, y, width - 1 - x, height - 1 - y], points: [centre] }] };
  });
}

/** Rewards of the fixed completions over some rows. */
export interface ConstantBook {
  /** Rows that were tried. */
  readonly rows: number;
  /** @param rewards one for each fixed completion, in the order of `constantPrompts`. */
  add(frame: Size, rewards: readonly number[]): void;
  constants(): Constant[];
}

/** A book with no row in it. */
export function constantBook(): ConstantBook {
  const sums = MARGINS.map(() => estimator());
  let boxes: Box[] = [];
  let rows = 0;
  return {
    get rows() {
      return rows;
    },
    add(frame, rewards) {
      rows++;
      if (boxes.length === 0) boxes = constantPrompts(frame).map(({ objects }) => objects[0]?.box as Box);
      for (const [i, sum] of sums.entries()) sum.add(rewards[i]);
    },
    constants: () => boxes.map((box, i) => ({ box, reward: sums[i].estimate() })),
  };
}

/** The constant baseline: the fixed completion with the highest reward; undefined if none was tried. */
export function bestConstant(constants: readonly Constant[]): Constant | undefined {
  return constants.reduce<Constant | undefined>(
    (best, one) => (best && best.reward.mean >= one.reward.mean ? best : one),
    undefined,
  );
}
