import type { OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { DataError } from '../errors.js';
import { clickCentre } from '../io/click.js';
import { boxOfMask, decodeMask, encodeMask, maskIou } from '../io/mask.js';
import type { Coordinates } from '../models/policy.js';
import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Box, Fitted, Mask, Point, Prompt, Sample, Size } from '../records.js';
import { CoordinatesOption, inFrame, writtenFrame } from './coordinates.js';
import { orMarked, pixelsOf } from './faults.js';
import { inOrder } from '../streams/in-order.js';

export const FitOptions = z.strictObject({
  /** Clicks tried; the best prefix of them is kept. */
  maxClicks: z.int().min(1).default(8),
  /** IoU at which clicking ends. */
  stop: z.number().min(0).max(1).default(0.9),
  /** The completion's thought: see `thoughtOf`. */
  think: z.string().default('{place}'),
  /**
   * Whether the segmenter tries the prompts; without it the completion is the box and one click on the object's centre.
   */
  tried: z.boolean().default(true),
  /** Units of written coordinates; the policy's by default, pixels without one. */
  coordinates: CoordinatesOption.optional(),
  /** Rows fitted at once. */
  inflight: z.int().min(1).default(2),
});
export type FitOptions = z.input<typeof FitOptions>;

/** What `fit` works with. */
export interface FitContext {
  readonly segmenter: Segmenter;
  readonly readImage: ReadImage;
}

/** A prompt that makes the segmenter find the ground truth. */
export interface Fit {
  readonly prompt: Prompt;
  /** IoU of the box alone, then after each click that was tried. */
  readonly iou: readonly number[];
}

/**
 * Adds `fitted`: the box and clicks with which the segmenter finds the row's ground truth, and the completion that says
 * so. A row without ground truth, with an empty one, or with an unreadable image is marked. Rows leave in the order
 * they came.
 *
 * @throws {ModelError} if the segmenter rejects with anything but a DataError; the stream errors.
 */
export function fit<T extends Sample>(
  { segmenter, readImage }: FitContext,
  options: FitOptions = {},
): OperatorFunction<T, T & Fitted> {
  const { think, inflight, tried, coordinates, ...clicking } = FitOptions.parse(options);

  const search = async (row: T, truth: Uint8Array): Promise<Fit> => {
    const image = await pixelsOf(readImage, row, segmenter);
    const segmentOnce = async (prompt: Prompt): Promise<Mask> =>
      (await segmenter.segment({ image, prompts: [prompt], frame: row.frame }))[0];
    return fitPrompt(segmentOnce, truth, row.frame, clicking);
  };
  const fitted = (row: T): Promise<T & Fitted> =>
    orMarked('fit', row, async () => {
      if (!row.truth) throw new DataError(`${row.id}  truth: expected a mask to fit; got nothing`);
      const truth = decodeMask(row.truth);
      const { prompt, iou } = tried ? await search(row, truth) : { prompt: simplePrompt(truth, row.frame), iou: [] };
      return {
        ...row,
        fitted: { prompt, ious: iou, text: answerText(prompt, thoughtOf(row, prompt, think), coordinates) },
      };
    });
  return inOrder(fitted, inflight);
}

/**
 * Clicks like a patient annotator: the ground truth's box, a first click on the object, then each on the largest error.
 * Background is clicked only inside the box. At least one click is kept.
 *
 * @param truth [height × width] of `frame`, row by row, 0 or 1.
 * @throws {DataError} if the ground truth is empty.
 */
export async function fitPrompt(
  segmentOnce: (prompt: Prompt) => Promise<Mask>,
  truth: Uint8Array,
  frame: Size,
  { maxClicks, stop }: { readonly maxClicks: number; readonly stop: number },
): Promise<Fit> {
  const wanted = encodeMask(truth, frame);
  const box = boxOfMask(wanted);
  if (!box) throw new DataError('truth  mask: expected an object to fit; got an empty mask');
  const prompted = (points: readonly Point[]): Prompt => ({ frame, objects: [{ box, points }] });

  const points: Point[] = [];
  let mask = await segmentOnce(prompted([]));
  const iou = [maskIou(mask, wanted)];
  while (points.length < maxClicks && (points.length === 0 || iou[points.length] < stop)) {
    const next = points.length === 0 ? firstClick(truth, frame) : nextClick(truth, decodeMask(mask), box, frame);
    if (!next) break;
    points.push(next);
    mask = await segmentOnce(prompted([...points]));
    iou.push(maskIou(mask, wanted));
  }
  const best = iou.indexOf(Math.max(...iou.slice(1)), 1);
  return { prompt: prompted(points.slice(0, best)), iou };
}

/** The ground truth's box and a click on its centre. @throws {DataError} if the ground truth is empty. */
function simplePrompt(truth: Uint8Array, frame: Size): Prompt {
  const box = boxOfMask(encodeMask(truth, frame));
  const click = firstClick(truth, frame);
  if (!box || !click) throw new DataError('truth  mask: expected an object to fit; got an empty mask');
  return { frame, objects: [{ box, points: [click] }] };
}

function firstClick(truth: Uint8Array, frame: Size): Point | undefined {
  const centre = clickCentre(truth, frame);
  return centre && { x: centre.x, y: centre.y, label: 1 };
}

/** The centre of the largest connected error, of missed object or, inside the box, of background in the mask. */
function nextClick(truth: Uint8Array, found: Uint8Array, [x1, y1, x2, y2]: Box, frame: Size): Point | undefined {
  const missed = clickCentre(
    truth.map((bit, i) => bit & ~found[i]),
    frame,
  );
  const spilled = clickCentre(
    truth.map((bit, i) => {
      const x = i % frame.width;
      const y = (i - x) / frame.width;
      return x >= x1 && x <= x2 && y >= y1 && y <= y2 ? found[i] & ~bit : 0;
    }),
    frame,
  );
  if (missed && (!spilled || missed.area >= spilled.area)) return { x: missed.x, y: missed.y, label: 1 };
  return spilled && { x: spilled.x, y: spilled.y, label: 0 };
}

/**
 * A template's words about a prompt: `{place}` stands for where the object is, such as `top left`, `{name}` for what a
 * scene calls it.
 */
export function thoughtOf({ candidates }: Pick<Sample, 'candidates'>, prompt: Prompt, template: string): string {
  const name = candidates?.names[candidates.target] ?? 'object';
  return template.replaceAll('{place}', () => placeOf(prompt)).replaceAll('{name}', () => name);
}

/** A prompt in Seg-R1's format, after a thought, by default about the place. */
export function answerText(prompt: Prompt, think: string = placeOf(prompt), coordinates?: Coordinates): string {
  return `${thinkingText(think)} ${solutionText(prompt, coordinates)}`;
}

/** A thought between its tags. */
export function thinkingText(thought: string): string {
  return `<think> ${thought} </think>`;
}

/** One tag for each box, then all points and all labels; in pixels by default. */
export function solutionText(prompt: Prompt, coordinates: Coordinates = 'pixels'): string {
  const { objects } = inFrame(prompt, writtenFrame(coordinates, prompt.frame));
  const boxes = objects.flatMap(({ box }) => (box ? [`<bbox>[${box.join(',')}]</bbox>`] : []));
  const points = objects.flatMap((object) => object.points);
  const places = `<points>[${points.map(({ x, y }) => `[${x},${y}]`).join(',')}]</points>`;
  const labels = `<labels>[${points.map(({ label }) => label).join(',')}]</labels>`;
  return [...boxes, places, labels].join(', ');
}

/**
 * Where in the frame's three by three a prompt's boxes lie, or its points where it has none: `top left`, `middle
 * center`.
 */
export function placeOf({ frame, objects }: Prompt): string {
  const boxes = objects.flatMap(({ box }) => (box ? [box] : []));
  const corners =
    boxes.length > 0
      ? boxes.flatMap(([x1, y1, x2, y2]) => [
          { x: x1, y: y1 },
          { x: x2, y: y2 },
        ])
      : objects.flatMap(({ points }) => points);
  const middle = (values: readonly number[], side: number): number =>
    (Math.min(...values) + Math.max(...values)) / 2 / side;
  const [across, down] = [
    middle(
      corners.map(({ x }) => x),
      frame.width,
    ),
    middle(
      corners.map(({ y }) => y),
      frame.height,
    ),
  ];
  const third = (at: number, names: readonly [string, string, string]): string =>
    names[at < 0.4 ? 0 : at > 0.6 ? 2 : 1];
  return `${third(down, ['top', 'middle', 'bottom'])} ${third(across, ['left', 'center', 'right'])}`;
}
