import type { Draws } from '../../random.js';
import { background, paint } from './background.js';
import { addGrain, added, blurred, type Canvas, drawRgb, middle, nearby, type Rgb } from './canvas.js';
import { type ColorName, farthest, PALETTE } from './palette.js';
import { drawBackdrop, type Drawing, free, type Placed } from './drawing.js';
import { mark, SHAPES, type Stamp, stamp } from './shapes.js';

/** One object, in a third of the scenes in the background's own colours, and up to two small distractors. */
export function mainScene(draw: Draws, side: number): Drawing | undefined {
  const hidden = draw.uniform() < 1 / 3;
  const { from, to } = drawBackdrop(draw, 0.1, 0.9, 0.25);
  const canvas = background(draw, side, from, to, draw.integer(0, 7));
  const mean = middle(from, to);
  const colors = farthest(Object.keys(PALETTE) as ColorName[], mean).slice(0, 5);
  const labels = new Uint8Array(side * side);
  const placed: Placed[] = [];
  const names: string[] = [];
  const objects = draw.integer(1, hidden ? 3 : 4);
  for (let k = 0; k < objects; k++) {
    const radius = side * (k === 0 ? draw.uniform(0.16, 0.36) : draw.uniform(0.05, 0.1));
    const spot = free(draw, side, radius, 0.8, placed, 30);
    if (!spot) continue;
    const shape = SHAPES[draw.integer(0, SHAPES.length)];
    const name = colors[draw.integer(0, colors.length)];
    const plainColor = added(PALETTE[name], drawRgb(draw, -0.06, 0.06));
    const place = stamp(draw, shape, side, spot.x, spot.y, radius);
    paint(draw, canvas, place, k === 0 && hidden ? nearby(draw, mean, 0.14, 0.26) : plainColor);
    if (k === 0) names.push(hidden ? 'hidden' : name);
    if (k === 0 && draw.uniform() < 0.35) paintPart(draw, canvas, place, spot, mean);
    mark(labels, side, place, k === 0 ? 1 : 0);
    placed.push(spot);
  }
  const soft = draw.uniform() < 0.5;
  addGrain(draw, canvas);
  return { canvas: soft ? blurred(canvas) : canvas, labels, colors: names };
}

/** A second tone close to the background on one side of the object, so that a box alone does not say what it is. */
function paintPart(draw: Draws, canvas: Canvas, place: Stamp, { x, y, radius }: Placed, mean: Rgb): void {
  const angle = draw.uniform(0, 2 * Math.PI);
  const from = radius * draw.uniform(-0.1, 0.5);
  const bits = place.bits.map((bit, i) => {
    const dx = place.left + (i % place.width) - x;
    const dy = place.top + Math.floor(i / place.width) - y;
    return bit && dx * Math.cos(angle) + dy * Math.sin(angle) > from ? 1 : 0;
  });
  paint(draw, canvas, { ...place, bits }, nearby(draw, mean, 0.14, 0.26));
}
