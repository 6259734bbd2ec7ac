import { shown, UsageError } from '../errors.js';
import type { Box, Point, PromptObject } from '../records.js';

/** The parts of a prompt on a command line, as written. */
export interface Words {
  readonly boxes: readonly string[];
  readonly points: readonly string[];
  /** One for each point, or none: then all are 1. */
  readonly labels: readonly string[];
}

/**
 * The objects of the prompt: one for each box, all with the points, or one of points only. Corners of a box may be in
 * any order.
 *
 * @throws {UsageError} for an invalid box, point or label, for a box without an area, and for another number of labels
 * than points.
 */
export function objectsOf({ boxes, points, labels }: Words): PromptObject[] {
  if (labels.length > 0 && labels.length !== points.length)
    throw new UsageError(`--label: expected one a point, ${points.length} in all; got ${labels.length}`);
  const clicks = points.map((text, i): Point => {
    const [x, y] = numbers(text, 'point', 'x,y', 2) as [number, number];
    return { x, y, label: labelOf(labels[i] ?? '1') };
  });
  if (boxes.length === 0) return clicks.length > 0 ? [{ points: clicks }] : [];
  return boxes.map((text) => ({ box: boxOf(text), points: clicks }));
}

function boxOf(text: string): Box {
  const [ax, ay, bx, by] = numbers(text, 'box', 'x1,y1,x2,y2', 4) as [number, number, number, number];
  if (ax === bx || ay === by)
    throw new UsageError(`--box: expected x1,y1,x2,y2 with an area between; got ${shown(text)}`);
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

function labelOf(text: string): 0 | 1 {
  if (text !== '0' && text !== '1')
    throw new UsageError(`--label: expected 1, the object, or 0, what is not; got ${shown(text)}`);
  return text === '1' ? 1 : 0;
}

function numbers(text: string, option: string, form: string, count: number): number[] {
  const parts = text.split(',').map((part) => part.trim());
  const values = parts.map(Number);
  if (parts.length === count && parts.every((part) => part !== '') && values.every(Number.isFinite)) return values;
  throw new UsageError(`--${option}: expected ${form}, in pixels; got ${shown(text)}`);
}
