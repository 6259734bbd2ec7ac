import type { Draws } from '../../random.js';
import { background } from './background.js';
import { addGrain, added, type Canvas, drawRgb, middle, type Rgb } from './canvas.js';
import { drawBackdrop, type Drawing, free, type Placed } from './drawing.js';
import { addNoise, addStripes } from './noise.js';
import { type ColorName, COOL, farthest, PALETTE, WARM } from './palette.js';
import { mark, plain, press, type Stamp, SHAPES, stamp } from './shapes.js';

const SPECKS = 12;
const COMPACT = 4;

/** Which candidate has each attribute; the three are drawn independently. */
export interface Who {
  readonly warm: number;
  readonly striped: number;
  readonly largest: number;
}

/** Three or four objects to choose from, over specks in their own colours; undefined when they found no room. */
export function pickScene(draw: Draws, side: number): (Drawing & { readonly who: Who }) | undefined {
  const { from, to } = drawBackdrop(draw, 0.15, 0.85, 0.2);
  const canvas = background(draw, side, from, to, draw.integer(0, 5));
  const warm = farthest(WARM, middle(from, to)).slice(0, 2);
  const cool = farthest(COOL, middle(from, to)).slice(0, 3);
  const objects = draw.integer(3, 5);
  const who: Who = {
    warm: draw.integer(0, objects),
    striped: draw.integer(0, objects),
    largest: draw.integer(0, objects),
  };
  scatter(draw, canvas, [warm[draw.integer(0, 2)], ...cool]);

  const usual = draw.uniform(0.115, 0.15) * side;
  const labels = new Uint8Array(side * side);
  const placed: Placed[] = [];
  const colors: ColorName[] = [];
  for (let k = 0; k < objects; k++) {
    const radius = usual * (k === who.largest ? draw.uniform(1.3, 1.5) : draw.uniform(0.92, 1.08));
    const spot = free(draw, side, radius, 0.85, placed, 200);
    if (!spot) return undefined;
    const color = k === who.warm ? warm[draw.integer(0, 2)] : cool[draw.integer(0, 3)];
    const place = stamp(draw, SHAPES[draw.integer(0, COMPACT)], side, spot.x, spot.y, radius);
    paintObject(draw, canvas, place, varied(draw, color), k === who.striped);
    mark(labels, side, place, k + 1);
    placed.push(spot);
    colors.push(color);
  }
  addGrain(draw, canvas);
  return { canvas, labels, colors, who };
}

/** Specks under the objects: a box that is too large lets them into the mask. */
function scatter(draw: Draws, canvas: Canvas, colors: readonly ColorName[]): void {
  const { side } = canvas;
  for (let k = 0; k < SPECKS; k++) {
    const shape = SHAPES[draw.integer(0, COMPACT)];
    const place = stamp(
      draw,
      shape,
      side,
      draw.uniform(0, side),
      draw.uniform(0, side),
      side * draw.uniform(0.03, 0.05),
    );
    press(canvas, place, plain(place, varied(draw, colors[draw.integer(0, colors.length)])));
  }
}

function paintObject(draw: Draws, canvas: Canvas, place: Stamp, color: Rgb, striped: boolean): void {
  const texture = plain(place, color);
  addNoise(draw, texture, place, canvas.side, draw.integer(2, 5), draw.uniform(0.02, 0.08));
  if (striped)
    addStripes(
      texture,
      place,
      draw.uniform(0, Math.PI),
      draw.uniform(0.06, 0.11) * canvas.side,
      draw.uniform(0.2, 0.3),
    );
  press(canvas, place, texture);
}

function varied(draw: Draws, name: ColorName): Rgb {
  return added(PALETTE[name], drawRgb(draw, -0.06, 0.06));
}
