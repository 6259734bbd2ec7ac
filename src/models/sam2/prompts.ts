import { gelu, layerNorm, linear, merge, order, split } from '../../tensor/ops.js';
import { sizeOf, type Tensor } from '../../tensor/graph.js';
import type { Box, PromptObject, Size } from '../../records.js';
import type { Sam2Config } from './config.js';
import { pointPosition } from './position.js';
import type { Weights } from './weights.js';

/** A point in the model's square and its label: 0 background, 1 object, 2 and 3 the corners of a box. */
export interface Click {
  readonly x: number;
  readonly y: number;
  readonly label: 0 | 1 | 2 | 3;
}

/**
 * The clicks of one object: the points inside its box, or all of them without one or with `everyPoint`, then the box's corners. Corners are
 * sorted; coordinates outside the frame are moved to its edge; points with labels other than 0 and 1 are ignored.
 *
 * @returns [] for an invalid object: no box and no point, a box without an area in the frame, a coordinate that is not
 * a number.
 */
export function clicksOf({ box, points, everyPoint }: PromptObject, frame: Size, size: number): Click[] {
  const told = points.filter(({ label }) => label === 0 || label === 1);
  if (![...(box ?? []), ...told.flatMap(({ x, y }) => [x, y])].every(Number.isFinite)) return [];
  const held = (value: number, most: number): number => Math.min(most, Math.max(0, value));
  const click = (x: number, y: number, label: Click['label']): Click => ({
    x: held(x, frame.width) * (size / frame.width),
    y: held(y, frame.height) * (size / frame.height),
    label,
  });
  if (!box) return told.map(({ x, y, label }) => click(x, y, label));
  const [x1, y1, x2, y2] = sorted(box);
  if (held(x1, frame.width) >= held(x2, frame.width) || held(y1, frame.height) >= held(y2, frame.height)) return [];
  const inside = told.filter(({ x, y }) => everyPoint === true || (x1 <= x && x <= x2 && y1 <= y && y <= y2));
  return [...inside.map(({ x, y, label }) => click(x, y, label)), click(x1, y1, 2), click(x2, y2, 3)];
}

function sorted([ax, ay, bx, by]: Box): Box {
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

/**
 * Tokens of an object's clicks and the one that ends them, [clicks + 1, width].
 *
 * @param weights of the checkpoint; a click is at the middle of its pixel.
 */
export function promptTokens(weights: Weights, { size, width }: Sam2Config, clicks: readonly Click[]): Float32Array {
  const matrix = weights.values('prompt_encoder.shared_embedding.positional_embedding');
  const labels = weights.values('prompt_encoder.point_embed.weight');
  const tokens = new Float32Array((clicks.length + 1) * width);
  for (const [i, { x, y, label }] of clicks.entries()) {
    const place = pointPosition(matrix, (x + 0.5) / size, (y + 0.5) / size);
    for (let c = 0; c < width; c++) tokens[i * width + c] = place[c] + labels[label * width + c];
  }
  tokens.set(weights.values('prompt_encoder.not_a_point_embed.weight'), clicks.length * width);
  return tokens;
}

/**
 * A mask as a prompt, instead of the embedding of no mask.
 *
 * @param mask [object, cell]: logits, S/4 by S/4 row by row.
 * @returns [object, pixel, width]
 */
export function maskPrompt(
  weights: Weights,
  { size, width, maskPrompt: { channels, epsilon } }: Sam2Config,
  mask: Tensor,
): Tensor {
  const side = size / 16;
  const at = (name: string, sizes: Record<string, number>): Tensor =>
    weights.tensor(`prompt_encoder.mask_embed.${name}`, sizes);
  const normed = (n: 1 | 2, x: Tensor, over: string): Tensor => {
    const own = { [over]: sizeOf(x, over) as number };
    return gelu(layerNorm(x, at(`layer_norm${n}.weight`, own), at(`layer_norm${n}.bias`, own), epsilon));
  };
  const cells = split(mask, 'cell', { row: side, y: 2, y2: 2, column: side, x: 2, x2: 2 });
  const first = linear(
    merge(order(cells, 'object', 'row', 'column', 'y', 'x', 'y2', 'x2'), ['y2', 'x2'], 'quarter'),
    at('conv1.weight', { some: channels / 4, quarter: 4 }),
    at('conv1.bias', { some: channels / 4 }),
  );
  const half = order(normed(1, first, 'some'), 'object', 'row', 'column', 'some', 'y', 'x');
  const second = linear(
    merge(half, ['some', 'y', 'x'], 'into'),
    at('conv2.weight', { more: channels, into: channels }),
    at('conv2.bias', { more: channels }),
  );
  const dense = linear(
    normed(2, second, 'more'),
    at('conv3.weight', { width, more: channels }),
    at('conv3.bias', { width }),
  );
  return merge(dense, ['row', 'column'], 'pixel');
}
