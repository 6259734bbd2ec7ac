import type { Draws } from '../../random.js';
import { type Canvas, drawRgb, type Rgb } from './canvas.js';

/** A drawn scene before its boxes and clicks are read off; `labels` is [side × side], candidate + 1, 0 elsewhere. */
export interface Drawing {
  readonly canvas: Canvas;
  readonly labels: Uint8Array;
  /** One name a candidate. */
  readonly colors: readonly string[];
}

/** A disc that an object keeps for itself, px. */
export interface Placed {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** The two colours of a background, `spread` apart at most in each channel. */
export function drawBackdrop(
  draw: Draws,
  low: number,
  high: number,
  spread: number,
): { readonly from: Rgb; readonly to: Rgb } {
  const from = drawRgb(draw, low, high);
  const clip = (value: number): number => Math.max(0, Math.min(1, value + draw.uniform(-spread, spread)));
  return { from, to: [clip(from[0]), clip(from[1]), clip(from[2])] };
}

/**
 * A place where a disc of `radius` touches no other, at least `margin` radii from the border.
 *
 * @returns undefined when `attempts` draws found none.
 */
export function free(
  draw: Draws,
  side: number,
  radius: number,
  margin: number,
  taken: readonly Placed[],
  attempts: number,
): Placed | undefined {
  for (let k = 0; k < attempts; k++) {
    const x = draw.uniform(radius * margin, side - radius * margin);
    const y = draw.uniform(radius * margin, side - radius * margin);
    if (taken.every((other) => Math.hypot(x - other.x, y - other.y) > radius + other.radius)) return { x, y, radius };
  }
  return undefined;
}
