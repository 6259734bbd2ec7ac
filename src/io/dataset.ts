import { readdirSync, statSync } from 'node:fs';
import { join, parse, resolve } from 'node:path';

import { messageOf, UsageError } from '../errors.js';
import type { Question } from '../records.js';
import { namedMasks, resultStem, withoutResults } from './segment-results.js';

/** Of what is decoded, in the order in which one of several masks is taken. */
const EXTENSIONS = [
  '.png',
  '.jpg',
  '.jpeg',
  '.webp',
  '.tif',
  '.tiff',
  '.gif',
  '.avif',
  '.bmp',
  '.jpe',
  '.jfif',
  '.jif',
  '.pjpeg',
  '.pjp',
  '.apng',
  '.dib',
];

export interface Folders {
  /** Folders of images, taken in order; folders inside them are not entered. */
  readonly images: string | readonly string[];
  /** Folders of masks, searched in order. */
  readonly masks: string | readonly string[];
  /** File names of images to take, `*` for any characters and `?` for one; all by default. */
  readonly pattern?: string;
}

/** An image and its mask; an image without one has no `mask`. */
export interface Pair {
  /** File name without extension; `root/file` where several images share that, root counted from 0. */
  readonly name: string;
  readonly image: string;
  /** Picture of the mask, or another reference that `readTruth` reads. */
  readonly mask?: string;
  /** What is asked of this image. */
  readonly instruction?: string;
  /** Its question, if it has a right answer in words. */
  readonly question?: Question;
  readonly task?: string;
  /** What its set is called. */
  readonly set?: string;
}

/** Contents of the folders. */
export interface Pairs {
  /** Every image: folder by folder in the order given, by name within a folder. */
  readonly all: readonly Pair[];
  /** Those of `all` without a mask. */
  readonly unmatched: readonly Pair[];
  /** Images that share their name with another. */
  readonly repeated: number;
}

/**
 * Pairs images and masks by file name without extension; of several masks the first folder's wins, `.png` before
 * others.
 *
 * @throws {UsageError} if a folder is missing or has no picture, if a folder is given for both, or if no image has a
 * mask.
 */
export function findPairs({ images, masks, pattern }: Folders): Pairs {
  const maskRoots = [masks].flat();
  const same = [images]
    .flat()
    .find((root) => pattern === undefined && maskRoots.some((other) => resolve(other) === resolve(root)));
  if (same !== undefined)
    throw new UsageError(
      `masks: expected other folders than the images', or a pattern that tells images from masks; got ${same} for both`,
    );

  const found = findImages({ images, ...(pattern === undefined ? {} : { pattern }) });
  const byName = maskRoots.map((root) => masksByName(root, pictures('masks', root)));
  const all = found.all.map((pair) => {
    const mask = byName
      .map((names) => names.get(resultStem(parse(pair.image).name.normalize())))
      .find((path) => path !== undefined);
    return mask === undefined ? pair : { ...pair, mask };
  });
  const unmatched = all.filter(({ mask }) => mask === undefined);
  if (unmatched.length === all.length) {
    throw new UsageError(
      `masks: expected a mask named as an image, such as ${parse(all[0].image).name}.png; got none for ${all.length} images in ${maskRoots.join(', ')}`,
    );
  }
  return { all, unmatched, repeated: found.repeated };
}

/**
 * Images without masks, for prediction.
 *
 * @throws {UsageError} if a folder is missing, has no picture, or none that fits the pattern.
 */
export function findImages({ images, pattern }: Omit<Folders, 'masks'>): Pairs {
  const fits = pattern === undefined ? () => true : matcher(pattern);
  const roots = [images].flat();
  const files = roots.flatMap((root, at) => {
    const fitting = withoutResults(pictures('images', root)).filter(fits);
    if (fitting.length === 0) throw new UsageError(`images  ${root}: expected file names such as ${pattern}; got none`);
    return fitting.map((file) => ({ at, file, image: join(root, file) }));
  });

  const times = new Map<string, number>();
  for (const { file } of files) times.set(parse(file).name, (times.get(parse(file).name) ?? 0) + 1);
  const shared = (file: string): boolean => (times.get(parse(file).name) ?? 0) > 1;
  const all = files.map(({ at, file, image }): Pair => ({
    name: shared(file) ? `${at}/${file}` : parse(file).name,
    image,
  }));
  return { all, unmatched: all, repeated: files.filter(({ file }) => shared(file)).length };
}

/** Whether there is a folder with pictures of its own, beside what is in folders inside it. */
export function holdsPictures(path: string): boolean {
  return (
    (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false) &&
    readdirSync(path, { withFileTypes: true }).some((entry) => !entry.isDirectory() && isPicture(entry.name))
  );
}

/**
 * Picture files of a folder, by name, without hidden ones.
 *
 * @param option that names the folder, for messages.
 * @throws {UsageError} if there is no such folder, or no picture in it.
 */
export function pictures(option: 'images' | 'masks' | 'predictions' | 'truth', root: string): string[] {
  const kind = statSync(root, { throwIfNoEntry: false });
  if (!kind?.isDirectory())
    throw new UsageError(
      `${option}  ${root}: expected a folder of ${option}; got ${kind ? 'a file' : 'nothing there'}`,
    );
  const names = listed(option, root)
    .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .filter(isPicture);
  if (names.length === 0)
    throw new UsageError(
      `${option}  ${root}: expected files named ${EXTENSIONS.map((ext) => `*${ext}`).join(' ')}; got ${leftOut(root) ?? 'none'}`,
    );
  return names.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}

/**
 * What a folder holds beside pictures, as in `3 .heic, 1 .txt, 2 folders`; undefined if nothing. Hidden files, and JSON
 * beside a result's mask, do not count.
 */
export function leftOut(root: string): string | undefined {
  const names = new Set(listed('images', root).map(({ name }) => name));
  const counts = new Map<string, number>();
  for (const entry of listed('images', root)) {
    if (entry.name.startsWith('.') || (!entry.isDirectory() && isPicture(entry.name))) continue;
    // Results of `segr1 segment` come in three files.
    if (entry.name.endsWith('.json') && names.has(entry.name.replace(/json$/, 'mask.png'))) continue;
    const kind = entry.isDirectory() ? 'folder' : parse(entry.name).ext.toLowerCase() || 'without an extension';
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  if (counts.size === 0) return undefined;
  const order = ([a]: [string, number], [b]: [string, number]): number =>
    Number(a === 'folder') - Number(b === 'folder') || (a < b ? -1 : 1);
  return [...counts]
    .toSorted(order)
    .map(([kind, count]) => `${count} ${kind}${kind === 'folder' && count > 1 ? 's' : ''}`)
    .join(', ');
}

/** Whether a file is called as a picture that is decoded. */
export function isPicture(name: string): boolean {
  return EXTENSIONS.includes(parse(name).ext.toLowerCase());
}

function listed(option: string, root: string) {
  try {
    return readdirSync(root, { withFileTypes: true });
  } catch (error) {
    throw new UsageError(`${option}  ${root}: expected a folder that can be read; got ${messageOf(error)}`, {
      cause: error,
    });
  }
}

function masksByName(root: string, files: readonly string[]): Map<string, string> {
  const rank = (file: string): number => EXTENSIONS.indexOf(parse(file).ext.toLowerCase());
  const lastWins = files.toSorted((a, b) => rank(b) - rank(a));
  return new Map(namedMasks(lastWins).map(([name, file]) => [name, join(root, file)]));
}

function matcher(pattern: string): (file: string) => boolean {
  const source = pattern
    .replace(/[\\^$.|+()[\]{}]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const expression = new RegExp(`^${source}$`, 'i');
  return (file) => expression.test(file);
}
