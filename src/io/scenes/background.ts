import type { Draws } from '../../random.js';
import { added, type Canvas, drawRgb, middle, type Rgb, whole } from './canvas.js';
import { addNoise, addStripes } from './noise.js';
import { plain, press, SHAPES, type Stamp, stamp } from './shapes.js';

/**
 * Fills a new canvas: gradient from `from` to `to`, noise at three scales, stripes now and then, `clutter` small
 * shapes.
 */
export function background(draw: Draws, side: number, from: Rgb, to: Rgb, clutter: number): Canvas {
  const canvas: Canvas = { side, data: new Float32Array(side * side * 3) };
  const angle = draw.uniform(0, 2 * Math.PI);
  gradient(canvas, angle, from, to);
  for (const [cells, most] of [
    [3, 0.12],
    [8, 0.08],
    [20, 0.06],
  ] as const) {
    addNoise(draw, canvas.data, whole(canvas), side, cells, draw.uniform(0, most));
  }
  if (draw.uniform() < 0.25)
    addStripes(canvas.data, whole(canvas), angle, draw.uniform(0.06, 0.25) * side, draw.uniform(0.03, 0.1));
  for (let k = 0; k < clutter; k++) {
    const shape = SHAPES[draw.integer(0, SHAPES.length)];
    const place = stamp(
      draw,
      shape,
      side,
      draw.uniform(0, side),
      draw.uniform(0, side),
      side * draw.uniform(0.015, 0.055),
    );
    paint(draw, canvas, place, added(middle(from, to), drawRgb(draw, -0.22, 0.22)));
  }
  return canvas;
}

/** Paints a stamp in one colour with noise, grain and, now and then, fine stripes. */
export function paint(draw: Draws, canvas: Canvas, place: Stamp, color: Rgb): void {
  const texture = plain(place, color);
  addNoise(draw, texture, place, canvas.side, draw.integer(2, 5), draw.uniform(0.03, 0.12));
  addNoise(draw, texture, place, canvas.side, draw.integer(8, 24), draw.uniform(0, 0.1), 1);
  if (draw.uniform() < 0.3)
    addStripes(
      texture,
      place,
      draw.uniform(0, Math.PI),
      draw.uniform(0.05, 0.14) * canvas.side,
      draw.uniform(0.04, 0.14),
    );
  press(canvas, place, texture);
}

function gradient({ side, data }: Canvas, angle: number, from: Rgb, to: Rgb): void {
  const dx = Math.cos(angle) / side;
  const dy = Math.sin(angle) / side;
  let at = 0;
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const t = Math.max(0, Math.min(1, (x - side / 2) * dx + (y - side / 2) * dy + 0.5));
      for (let c = 0; c < 3; c++) data[at++] = from[c] + (to[c] - from[c]) * t;
    }
  }
}
