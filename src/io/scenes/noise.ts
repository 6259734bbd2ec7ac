import type { Draws } from '../../random.js';
import type { Region } from './canvas.js';

/**
 * Adds value noise: a grid of draws in [-1, 1), bilinear between its knots, times `amplitude`.
 *
 * @param target [region.height × region.width × 3]
 * @param side of the whole canvas, over which `cells` cells are laid.
 * @param channels 1 gives all three channels the same noise.
 */
export function addNoise(
  draw: Draws,
  target: Float32Array,
  region: Region,
  side: number,
  cells: number,
  amplitude: number,
  channels: 1 | 3 = 3,
): void {
  const stride = (cells + 1) * channels;
  const grid = Float32Array.from({ length: stride * (cells + 1) }, () => draw.uniform(-amplitude, amplitude));
  const line = new Float32Array(stride);
  let at = 0;
  for (let y = 0; y < region.height; y++) {
    const v = ((region.top + y) * cells) / side;
    const j = Math.floor(v);
    for (let k = 0; k < stride; k++)
      line[k] = grid[j * stride + k] + (grid[(j + 1) * stride + k] - grid[j * stride + k]) * (v - j);
    for (let x = 0; x < region.width; x++) {
      const u = ((region.left + x) * cells) / side;
      const i = Math.floor(u);
      for (let c = 0; c < 3; c++) {
        const knot = i * channels + (channels === 3 ? c : 0);
        target[at++] += line[knot] + (line[knot + channels] - line[knot]) * (u - i);
      }
    }
  }
}

/**
 * Adds straight sine stripes, the same to all channels.
 *
 * @param target [region.height × region.width × 3]
 * @param angle of the direction across the stripes, radians.
 * @param period in pixels.
 */
export function addStripes(
  target: Float32Array,
  region: Region,
  angle: number,
  period: number,
  amplitude: number,
): void {
  const dx = (Math.cos(angle) * 2 * Math.PI) / period;
  const dy = (Math.sin(angle) * 2 * Math.PI) / period;
  let at = 0;
  for (let y = 0; y < region.height; y++) {
    for (let x = 0; x < region.width; x++) {
      const wave = amplitude * Math.sin((region.left + x) * dx + (region.top + y) * dy);
      for (let c = 0; c < 3; c++) target[at++] += wave;
    }
  }
}
