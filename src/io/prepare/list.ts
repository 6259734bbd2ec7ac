import { readFileSync, statSync } from 'node:fs';
import { dirname, relative, resolve, sep } from 'node:path';

import { UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import { kindAt, putFile } from '../user-files.js';
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
    mask === undefined
      ? []
      : [{ image_path: from(image), ground_truth: from(mask), ...(instruction !== undefined && { instruction }) }],
  );
  const sorted = entries.toSorted((a, b) => (a.image_path < b.image_path ? -1 : a.image_path > b.image_path ? 1 : 0));
  return { lines: sorted.map(line), skipped: pairs.filter(({ mask }) => mask === undefined).map(({ image }) => image) };
}

/** With blanks after colons and commas, as Python writes it: lists made by either can be compared. */
function line(entry: Readonly<Record<string, string>>): string {
  return `{${Object.entries(entry)
    .map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`)
    .join(', ')}}`;
}

/**
 * Steps that write a list; none if it is there as it would be written.
 *
 * @param overwrite lets it take the place of a file with anything else in it.
 * @throws {UsageError} if no image has a mask, or something else is there.
 */
export function listSteps(
  path: string,
  pairs: readonly Pair[],
  { overwrite = false }: { readonly overwrite?: boolean } = {},
): { steps: Step[]; skipped: readonly string[] } {
  const { lines, skipped } = listOf(pairs, dirname(resolve(path)));
  if (lines.length === 0)
    throw new UsageError(`${path}  list: expected images with masks; got ${pairs.length} images and no mask`);
  const text = `${lines.join('\n')}\n`;
  const kind = kindAt(path);
  if (kind !== undefined && kind !== 'folder' && textOf(path) === text) return { steps: [], skipped };
  if (
    pairs.some(({ image, mask }) => [image, mask].some((one) => one !== undefined && resolve(one) === resolve(path)))
  ) {
    throw new UsageError(
      `${path}  list: expected a file of its own; got one of the images or masks; way out: another name`,
    );
  }
  if (kind === 'folder' || (kind !== undefined && !overwrite)) {
    throw new UsageError(
      `${path}  list: expected nothing there, or the same list; got another ${kind}; way out: another name${kind === 'folder' ? '' : ', or --overwrite'}`,
    );
  }
  return { steps: [{ text: `${path} with ${lines.length} images`, run: () => putFile(path, text) }], skipped };
}

/** Undefined for a dangling link. */
function textOf(path: string): string | undefined {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ? readFileSync(path, 'utf8') : undefined;
}
