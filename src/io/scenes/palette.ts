import type { Rgb } from './canvas.js';

/** The objects' colours by name. */
export const PALETTE = {
  red: [0.85, 0.15, 0.15],
  green: [0.15, 0.65, 0.2],
  blue: [0.15, 0.3, 0.85],
  yellow: [0.9, 0.85, 0.15],
  orange: [0.95, 0.55, 0.1],
  purple: [0.55, 0.2, 0.7],
  white: [0.95, 0.95, 0.95],
  black: [0.07, 0.07, 0.07],
} as const satisfies Record<string, Rgb>;
export type ColorName = keyof typeof PALETTE;

export const WARM: readonly ColorName[] = ['red', 'orange', 'yellow'];
export const COOL: readonly ColorName[] = ['green', 'blue', 'purple', 'white', 'black'];

/** `names` ordered from the colour that stands out most from `from`. */
export function farthest(names: readonly ColorName[], from: Rgb): ColorName[] {
  const distance = (name: ColorName): number => Math.hypot(...PALETTE[name].map((value, c) => value - from[c]));
  return names.toSorted((a, b) => distance(b) - distance(a));
}
