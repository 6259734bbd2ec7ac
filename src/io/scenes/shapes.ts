import type { Draws } from '../../random.js';
import type { Canvas, Region, Rgb } from './canvas.js';

/** The first four are compact; `pick` scenes use only those. */
export const SHAPES = ['circle', 'square', 'triangle', 'star', 'ring', 'animal'] as const;
export type Shape = (typeof SHAPES)[number];

/** A shape laid on the pixels that it may cover: `bits` is [height × width], row by row, 0 or 1. */
export interface Stamp extends Region {
  readonly bits: Uint8Array;
}

/** Whether a pixel belongs to a shape, in its own axes: u along, v across, in units of its radius. */
type Inside = (u: number, v: number) => boolean;

const LIMB_REACH = 1.2;

/**
 * Rasters one shape, turned and flattened at random.
 *
 * @param side of the canvas, px; what lies outside is cut off.
 * @param x centre, px. @param y centre, px.
 * @param radius outer radius, px.
 */
export function stamp(draw: Draws, shape: Shape, side: number, x: number, y: number, radius: number): Stamp {
  const angle = draw.uniform(0, 2 * Math.PI);
  const flat = draw.uniform(shape === 'triangle' || shape === 'star' ? 0.85 : 0.65, 1);
  const inside = outline(draw, shape);
  const left = Math.max(0, Math.floor(x - radius * LIMB_REACH));
  const top = Math.max(0, Math.floor(y - radius * LIMB_REACH));
  const width = Math.max(0, Math.min(side, Math.ceil(x + radius * LIMB_REACH) + 1) - left);
  const height = Math.max(0, Math.min(side, Math.ceil(y + radius * LIMB_REACH) + 1) - top);
  const bits = new Uint8Array(width * height);
  const cos = Math.cos(angle) / radius;
  const sin = Math.sin(angle) / radius;
  for (let row = 0; row < height; row++) {
    const dy = top + row - y;
    for (let column = 0; column < width; column++) {
      const dx = left + column - x;
      if (inside(dx * cos + dy * sin, (dy * cos - dx * sin) / flat)) bits[row * width + column] = 1;
    }
  }
  return { left, top, width, height, bits };
}

/** Copies a texture of the stamp's size onto the canvas where the stamp is set. */
export function press(canvas: Canvas, { left, top, width, height, bits }: Stamp, texture: Float32Array): void {
  for (let y = 0; y < height; y++) {
    let to = ((top + y) * canvas.side + left) * 3;
    for (let i = y * width; i < (y + 1) * width; i++, to += 3) {
      if (bits[i]) for (let c = 0; c < 3; c++) canvas.data[to + c] = texture[i * 3 + c];
    }
  }
}

/** Sets the stamp's pixels of a map [side × side] to `value`. */
export function mark(map: Uint8Array, side: number, { left, top, width, height, bits }: Stamp, value: number): void {
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if (bits[y * width + x]) map[(top + y) * side + left + x] = value;
  }
}

/** A texture of one colour, [height × width × 3]. */
export function plain({ width, height }: Region, color: Rgb): Float32Array {
  const texture = new Float32Array(width * height * 3);
  for (let i = 0; i < texture.length; i++) texture[i] = color[i % 3];
  return texture;
}

function outline(draw: Draws, shape: Shape): Inside {
  switch (shape) {
    case 'circle':
      return (u, v) => u * u + v * v <= 1;
    case 'square':
      return (u, v) => Math.max(Math.abs(u), Math.abs(v)) <= 0.8;
    case 'triangle':
      return polygon(3, 0.5);
    case 'star':
      return polygon(5, draw.uniform(0.4, 0.55));
    case 'ring': {
      const hole = draw.uniform(0.4, 0.6) ** 2;
      return (u, v) => u * u + v * v <= 1 && u * u + v * v >= hole;
    }
    case 'animal':
      return animal(draw);
  }
}

/** `n` corners at radius 1 with straight edges to `n` corners at radius `inner` between them. */
function polygon(n: number, inner: number): Inside {
  const sector = (2 * Math.PI) / n;
  const normal = [Math.sin(sector / 2), inner - Math.cos(sector / 2)];
  const edge = inner * normal[0];
  return (u, v) => {
    const turn = Math.atan2(v, u);
    const t = Math.abs(turn - Math.floor(turn / sector) * sector - sector / 2);
    return Math.hypot(u, v) * (Math.cos(t) * normal[0] + Math.sin(t) * normal[1]) <= edge;
  };
}

/** A wavy blob with two to five thin limbs. */
function animal(draw: Draws): Inside {
  const waves = [1, 2, 3].map((k) => ({ k, size: draw.uniform(-0.12, 0.12), phase: draw.uniform(0, 6.3) }));
  const limbs = Array.from({ length: draw.integer(2, 6) }, () => {
    const angle = draw.uniform(0, 2 * Math.PI);
    return { x: Math.cos(angle), y: Math.sin(angle), width: draw.uniform(0.05, 0.12) };
  });
  return (u, v) => {
    const turn = Math.atan2(v, u);
    let reach = 0.62;
    for (const { k, size, phase } of waves) reach += size * Math.cos(k * turn + phase);
    if (Math.hypot(u, v) <= reach) return true;
    for (const limb of limbs) {
      const along = Math.max(0, Math.min(1, u * limb.x + v * limb.y));
      if (Math.hypot(u - along * limb.x, v - along * limb.y) <= limb.width) return true;
    }
    return false;
  };
}
