import { relative, sep } from 'node:path';

import type { Pair } from '../dataset.js';

/** A list as `jsonl` reads it. */
export interface List {
  /** One JSON each, by path of the image. */
  readonly lines: readonly string[];
  /** Images that have no mask and are not in the list. */
  readonly skipped: readonly string[];
}

/**
 * Lists images with their masks, and what is asked of them.
 *
 * @param base folder that the paths become relative to; the list belongs there.
 */
export function listOf(pairs: readonly Pair[], base: string): List {
  const from = (path: string): string => relative(base, path).split(sep).join('/');
  const entries = pairs.flatMap(({ image, mask, instruction }) =>
    mask === undefined ? [] : [{ image_path: from(image), ground_truth: from(mask), ...(instruction !== undefined && { instruction }) }],
  );
  const sorted = entries.toSorted((a, b) => (a.image_path < b.image_path ? -1 : a.image_path > b.image_path ? 1 : 0));
  return { lines: sorted.map((entry) => JSON.stringify(entry)), skipped: pairs.filter(({ mask }) => mask === undefined).map(({ image }) => image) };
}
