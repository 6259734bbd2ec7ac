import { ModelError } from '../../errors.js';
import type { RotaryTable } from '../vlm/architecture.js';
import { patchPlaces, type Grid } from '../vlm/patches.js';
import type { QwenConfig, TextConfig, VisionConfig } from './config.js';

/** Layout of merged units (2 × 2 patches) in windows. */
export interface WindowOrder {
  /** [units]: raster index of each unit, window after window. */
  readonly order: Int32Array;
  /** [units]: position of each raster unit; gathering by it undoes `order`. */
  readonly inverse: Int32Array;
  /** [windows + 1]: first patch of each window in that order, and the number of patches. */
  readonly bounds: Int32Array;
}

/** Positions along time, height and width. */
export interface Positions {
  /** [3, T]; 0 at padding. */
  readonly positions: Int32Array;
  /** An appended token with index i, without padding, has position i + delta on every axis. */
  readonly delta: number;
}

/**
 * The vision tower's rotary angles: the first half of a half table turns with the row, the second with the column.
 *
 * @returns [patches, headDim / 2], patches in merge-block order.
 */
export function visionRotary(grid: Grid, vision: VisionConfig): RotaryTable {
  const places = patchPlaces(grid, vision.merge);
  const rates = frequencies(vision.hidden / vision.heads / 2, 10_000);
  const half = 2 * rates.length;
  return rotary(
    places.length / 2,
    half,
    (patch, i) => places[2 * patch + (i < rates.length ? 0 : 1)] * rates[i % rates.length],
  );
}

/**
 * Sorts merged units by attention window; windows at the right and lower edge are smaller.
 *
 * @see Qwen2.5-VL, arXiv:2502.13923, section 2.1.1.
 */
export function windowOrder(grid: Grid, vision: VisionConfig): WindowOrder {
  const rows = grid.h / vision.merge;
  const columns = grid.w / vision.merge;
  const side = vision.window / (vision.merge * vision.patch);
  const order = new Int32Array(rows * columns);
  const inverse = new Int32Array(rows * columns);
  const bounds = [0];
  let at = 0;
  for (let top = 0; top < rows; top += side) {
    for (let left = 0; left < columns; left += side) {
      for (let y = top; y < Math.min(top + side, rows); y++) {
        for (let x = left; x < Math.min(left + side, columns); x++) {
          inverse[y * columns + x] = at;
          order[at++] = y * columns + x;
        }
      }
      bounds.push(at * vision.merge ** 2);
    }
  }
  return { order, inverse, bounds: Int32Array.from(bounds) };
}

/**
 * Positions of a row of tokens: text counts up; an image has constant time and its rows and columns, and the text after
 * it continues after its longer side.
 *
 * @param tokens [T], image placeholders expanded.
 * @param grids of the row's images, in order.
 * @param padding number of padding tokens at the left.
 * @throws {ModelError} if placeholders and grids don't agree.
 */
export function mropePositions(
  tokens: ArrayLike<number>,
  grids: readonly Grid[],
  config: QwenConfig,
  padding = 0,
): Positions {
  const length = tokens.length;
  const positions = new Int32Array(3 * length);
  let image = 0;
  let next = 0;
  for (let at = padding; at < length;) {
    if (tokens[at] !== config.tokens.image) {
      for (let axis = 0; axis < 3; axis++) positions[axis * length + at] = next;
      next++;
      at++;
      continue;
    }
    const grid = grids[image++];
    const columns = grid ? grid.w / config.vision.merge : 0;
    const units = grid ? (grid.h / config.vision.merge) * columns : 0;
    for (let unit = 0; unit < units; unit++) {
      if (tokens[at + unit] !== config.tokens.image) throw disagree(tokens, grids, config);
      positions[at + unit] = next;
      positions[length + at + unit] = next + Math.floor(unit / columns);
      positions[2 * length + at + unit] = next + (unit % columns);
    }
    if (units === 0) throw disagree(tokens, grids, config);
    at += units;
    next += Math.max(columns, units / columns);
  }
  if (image !== grids.length) throw disagree(tokens, grids, config);
  return { positions, delta: next - (length - padding) };
}

/**
 * The language model's rotary angles; each of three runs of frequencies turns with its own axis.
 *
 * @param positions [3, T].
 * @returns [T, headDim / 2].
 */
export function textRotary(positions: ArrayLike<number>, text: TextConfig): RotaryTable {
  const length = positions.length / 3;
  const rates = frequencies(text.headDim, text.ropeTheta);
  const axes = text.mropeSection.flatMap((size, axis) => Array.from({ length: size }, () => axis));
  return rotary(length, rates.length, (token, i) => positions[axes[i] * length + token] * rates[i]);
}

/** Positions that a prompt takes: one a token of text, and as many as the longer side of each image has tokens. */
export function promptPositions(tokens: number, grids: readonly Grid[], { vision: { merge } }: QwenConfig): number {
  return grids.reduce((sum, { h, w }) => sum - (h * w) / merge ** 2 + Math.max(h, w) / merge, tokens);
}

/** Tables of a prompt's tokens, and of the `next` tokens after it. */
export function promptRotary(
  tokens: ArrayLike<number>,
  grids: readonly Grid[],
  config: QwenConfig,
  padding: number,
  next: number,
): { readonly prompt: RotaryTable; readonly next: RotaryTable } {
  const { positions, delta } = mropePositions(tokens, grids, config, padding);
  const following = Int32Array.from({ length: 3 * next }, (_, i) => tokens.length - padding + delta + (i % next));
  return { prompt: textRotary(positions, config.text), next: textRotary(following, config.text) };
}

/** [width / 2], rounded to float32 at each step as torch does: far positions multiply the difference. */
function frequencies(width: number, theta: number): Float32Array {
  return Float32Array.from({ length: width / 2 }, (_, i) => 1 / Math.fround(theta ** Math.fround((2 * i) / width)));
}

function rotary(rows: number, half: number, angle: (row: number, i: number) => number): RotaryTable {
  const cos = new Float32Array(rows * half);
  const sin = new Float32Array(rows * half);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < half; i++) {
      const turned = Math.fround(angle(row, i));
      cos[row * half + i] = Math.cos(turned);
      sin[row * half + i] = Math.sin(turned);
    }
  }
  return { cos, sin };
}

function disagree(
  tokens: ArrayLike<number>,
  grids: readonly Grid[],
  { tokens: { image }, vision: { merge } }: QwenConfig,
): ModelError {
  const expected = grids.map((grid) => (grid.h * grid.w) / merge ** 2);
  let got = 0;
  for (let i = 0; i < tokens.length; i++) if (tokens[i] === image) got++;
  return new ModelError(
    `row of tokens  image placeholders: expected ${expected.join(' + ') || '0'} for ${grids.length} images; got ${got}`,
  );
}
