import type { Draws } from '../../random.js';

/** Colours while a scene is being drawn: [side × side × 3], row by row, 0 to 1 before the last clipping. */
export interface Canvas {
  readonly side: number;
  readonly data: Float32Array;
}

/** Rectangle of a canvas, in its pixels. */
export interface Region {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** A colour, each channel 0 to 1. */
export type Rgb = readonly [number, number, number];

/** All of a canvas. */
export function whole(canvas: Canvas): Region {
  return { left: 0, top: 0, width: canvas.side, height: canvas.side };
}

/** Three draws in [low, high). */
export function drawRgb(draw: Draws, low: number, high: number): Rgb {
  return [draw.uniform(low, high), draw.uniform(low, high), draw.uniform(low, high)];
}

/** Channel by channel. */
export function added(a: Rgb, b: Rgb): Rgb {
  return [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
}

/** Half way between two colours. */
export function middle(a: Rgb, b: Rgb): Rgb {
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2, (a[2] + b[2]) / 2];
}

/** A colour at a distance in [low, high) from `from`, in a direction drawn evenly. */
export function nearby(draw: Draws, from: Rgb, low: number, high: number): Rgb {
  const step: Rgb = [draw.normal(), draw.normal(), draw.normal()];
  const scale = draw.uniform(low, high) / Math.max(1e-9, Math.hypot(...step));
  return [from[0] + step[0] * scale, from[1] + step[1] * scale, from[2] + step[2] * scale];
}

/** Adds normal noise of a drawn strength to every channel of every pixel. */
export function addGrain(draw: Draws, canvas: Canvas): void {
  const sigma = draw.uniform(0.005, 0.03);
  for (let i = 0; i < canvas.data.length; i++) canvas.data[i] += draw.normal(sigma);
}

/** Mean of each 3 × 3 neighbourhood, the border repeated. */
export function blurred({ side, data }: Canvas): Canvas {
  const row = side * 3;
  const across = new Float32Array(data.length);
  const out = new Float32Array(data.length);
  for (let y = 0; y < side; y++) {
    for (let k = 0; k < row; k++) {
      const at = y * row + k;
      across[at] = (data[k < 3 ? at : at - 3] + data[at] + data[k >= row - 3 ? at : at + 3]) / 3;
    }
  }
  for (let y = 0; y < side; y++) {
    const above = y === 0 ? 0 : -row;
    const below = y === side - 1 ? 0 : row;
    for (let at = y * row; at < (y + 1) * row; at++)
      out[at] = (across[at + above] + across[at] + across[at + below]) / 3;
  }
  return { side, data: out };
}

/** Clipped to 0 … 1 and cut to bytes. */
export function toBytes({ data }: Canvas): Uint8Array {
  const bytes = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i++) bytes[i] = Math.max(0, Math.min(1, data[i])) * 255;
  return bytes;
}
