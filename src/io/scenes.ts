import { draws, uniform } from '../random.js';
import type { Box, Image, SceneKey } from '../records.js';
import { clickCentre } from './click.js';
import { toBytes } from './scenes/canvas.js';
import { mainScene } from './scenes/main-scene.js';
import { pickScene } from './scenes/pick-scene.js';

/** Default side of a scene, px. */
export const SCENE_SIDE = 112;
/** Least side at which shapes keep their form, px. */
export const SMALLEST_SIDE = 32;
const SMALLEST_SHARE = 0.008;
const MOST_ATTEMPTS = 1000;
/** Cached scenes: a row's scene is drawn for its ground truth when it loads, and soon again for its pixels. */
const KEPT = 32;
const kept = new Map<string, Scene>();

/** A drawn picture with everything that is known about it; pixels of a square frame. */
export interface Scene {
  readonly image: Image;
  /** The target's pixels, [side × side], row by row, 0 or 1. */
  readonly truth: Uint8Array;
  /** Candidate + 1 of each pixel, 0 elsewhere, [side × side]; of a `main` scene its one object. */
  readonly labels: Uint8Array;
  /** One a candidate, tight. */
  readonly boxes: readonly Box[];
  /** One a candidate: the middle of its largest part. */
  readonly clicks: readonly { readonly x: number; readonly y: number }[];
  /** One for each candidate; `hidden` if it has the background's colours. */
  readonly colors: readonly string[];
  /** Which candidate the rule asks for. */
  readonly target: number;
}

/**
 * Draws a scene; the key alone decides it, and the rule decides only which object is the target.
 *
 * The result is shared: don't write to it.
 *
 * @param side px, at least 32; the same key draws the same picture at any side.
 * @throws {RangeError} for a smaller side.
 */
export function drawScene(key: SceneKey, side: number): Scene {
  if (!Number.isInteger(side) || side < SMALLEST_SIDE)
    throw new RangeError(`side of a scene: expected a whole number from ${SMALLEST_SIDE} px; got ${side}`);
  const name = `${key.kind} ${key.seed} ${key.index} ${key.rule} ${side}`;
  const scene = kept.get(name) ?? drawn(key, side);
  kept.delete(name);
  kept.set(name, scene);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
  return scene;
}

function drawn(key: SceneKey, side: number): Scene {
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const scene = attempted(key, side, attempt);
    if (scene) return scene;
  }
  throw new RangeError(
    `scene ${key.kind} ${key.seed}/${key.index}: expected room for its objects; got none in ${MOST_ATTEMPTS} attempts`,
  );
}

function attempted(key: SceneKey, side: number, attempt: number): Scene | undefined {
  const draw = draws('scene', key.kind, key.seed, key.index, attempt);
  const pick = key.kind === 'pick' ? pickScene(draw, side) : undefined;
  const drawing = key.kind === 'pick' ? pick : mainScene(draw, side);
  if (!drawing) return undefined;
  const { labels, colors } = drawing;
  const frame = { width: side, height: side };
  const parts = colors.map((_, k) => labels.map((label) => (label === k + 1 ? 1 : 0)));
  const clicks = parts.flatMap((bits) => clickCentre(bits, frame) ?? []).map(({ x, y }) => ({ x, y }));
  if (clicks.length < colors.length) return undefined;
  const any = Math.floor(uniform('scene-target', key.kind, key.seed, key.index) * colors.length);
  const target = !pick ? 0 : key.rule === 'any' ? any : pick.who[key.rule];
  const truth = parts[target];
  if (key.kind === 'main' && truth.reduce((sum, bit) => sum + bit, 0) < SMALLEST_SHARE * side * side) return undefined;
  const image: Image = { ...frame, data: toBytes(drawing.canvas) };
  return { image, truth, labels, boxes: parts.map((bits) => tightBox(bits, side)), clicks, colors, target };
}

function tightBox(bits: Uint8Array, side: number): Box {
  let [left, top, right, bottom] = [side, side, 0, 0];
  for (let i = 0; i < bits.length; i++) {
    if (!bits[i]) continue;
    const x = i % side;
    const y = (i - x) / side;
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return [left, top, right, bottom];
}
