import { existsSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { dirname, relative, resolve, sep } from 'node:path';

import { UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import type { Step } from './step.js';

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
  const from = (path: string): string => relative(base, resolve(path)).split(sep).join('/');
  const entries = pairs.flatMap(({ image, mask, instruction }) =>
    mask === undefined ? [] : [{ image_path: from(image), ground_truth: from(mask), ...(instruction !== undefined && { instruction }) }],
  );
  const sorted = entries.toSorted((a, b) => (a.image_path < b.image_path ? -1 : a.image_path > b.image_path ? 1 : 0));
  return { lines: sorted.map(line), skipped: pairs.filter(({ mask }) => mask === undefined).map(({ image }) => image) };
}

/** With blanks after colons and commas, as Python writes it: lists made by either can be compared. */
function line(entry: Readonly<Record<string, string>>): string {
  return `{${Object.entries(entry).map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`).join(', ')}}`;
}

/**
 * Steps that write a list; none if it is there as it would be written.
 *
 * @throws {UsageError} if no image has a mask.
 */
export function listSteps(path: string, pairs: readonly Pair[]): { steps: Step[]; skipped: readonly string[] } {
  const { lines, skipped } = listOf(pairs, dirname(resolve(path)));
  if (lines.length === 0) throw new UsageError(`${path}  list: expected images with masks; got ${pairs.length} images and no mask`);
  const text = `${lines.join('\n')}\n`;
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return { steps: [], skipped };
  return { steps: [{ text: `${path} with ${lines.length} images`, run: () => replaced(path, text) }], skipped };
}

async function replaced(path: string, text: string): Promise<void> {
  await writeFile(`${path}.partial`, text);
  await rename(`${path}.partial`, path);
}
