import type { z } from 'zod';

import { decodeMask, maskArea, maskIou } from '../../io/mask.js';
import { structureMeasure } from '../../metrics/structure-measure.js';
import type { Mask, Masked } from '../../records.js';
import { boxOverlap } from './box-overlap.js';
import { instancesOf, matching } from './matching.js';
import { noTarget } from './no-target.js';
import { partsOf, type RewardOptions } from './options.js';
import { overlong } from './overlong.js';
import { pointCount } from './point-count.js';
import { tieredOverlap } from './tiered-overlap.js';

/** Input of the built-in parts; without `completions` there is no `length`. */
export type Judged = Pick<Masked, 'masks' | 'prompts' | 'formats' | 'truth'> & Partial<Pick<Masked, 'completions'>>;

/**
 * The built-in parts with a weight, [G] each; NaN where a part needs a missing ground truth.
 *
 * @throws {DataError} if a mask and the ground truth differ in size, or their runs don't fill it.
 */
export function builtInRewards(
  row: Judged,
  options: z.output<typeof RewardOptions>,
): Record<string, readonly number[]> {
  const { weights, length, legacy } = options;
  const { prompts, completions, truth } = row;
  const known: Record<string, readonly number[]> = maskRewards(row, legacy);
  const against = (judge: (gt: Mask) => number[]): number[] => (truth ? judge(truth) : prompts.map(() => NaN));
  const answers: Readonly<Record<string, () => readonly number[] | undefined>> = {
    pointCount: () => prompts.map(pointCount),
    length: () => length && completions?.map(({ tokens }) => overlong(tokens.length, length)),
    boxIoU: () => against((gt) => prompts.map((prompt) => boxOverlap(prompt, gt))),
    noTarget: () => against((gt) => prompts.map((prompt, g) => noTarget(prompt, completions?.[g], gt))),
    matching: () => against((gt) => prompts.map(matchingWith(gt))),
    tieredIoU: () => against(() => known['iou'].map(tieredOverlap)),
  };
  const asked = partsOf(weights).map((name) => [name, known[name] ?? answers[name]?.()] as const);
  return Object.fromEntries(asked.flatMap(([name, values]) => (values ? [[name, values]] : [])));
}

/**
 * Format, IoU and structure, [G] each; a completion without a mask has 0 of the latter two.
 *
 * @throws {DataError} if a mask and the ground truth differ in size, or their runs don't fill it.
 */
export function maskRewards(
  row: Pick<Judged, 'masks' | 'formats' | 'truth'>,
  legacy: { readonly structure: boolean } = { structure: false },
): Record<'format' | 'iou' | 'structure', readonly number[]> {
  const { truth } = row;
  if (!truth) {
    const unscorable = row.masks.map(() => NaN);
    return { format: row.formats, iou: unscorable, structure: unscorable };
  }
  const bits = decodeMask(truth);
  const known = new Map<string, { iou: number; structure: number }>();
  const scores = row.masks.map((mask) => {
    if (mask === null) return { iou: 0, structure: 0 };
    const key = mask.counts.join();
    const score = known.get(key) ?? {
      iou: maskIou(mask, truth),
      structure: legacy.structure ? unpredicted(mask) : structure(mask, bits),
    };
    known.set(key, score);
    return score;
  });
  return { format: row.formats, iou: scores.map(({ iou }) => iou), structure: scores.map((score) => score.structure) };
}

function matchingWith(truth: Mask): (prompt: Judged['prompts'][number]) => number {
  const instances = instancesOf(truth);
  return (prompt) => matching(prompt, instances);
}

function structure(mask: Mask, truth: Uint8Array): number {
  return Math.min(1, Math.max(0, structureMeasure(decodeMask(mask), truth, mask)));
}

/** The S-measure of Seg-R1's released code, the same for any ground truth. */
function unpredicted(mask: Mask): number {
  return 1 - maskArea(mask) / (mask.width * mask.height);
}
