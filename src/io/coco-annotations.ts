import { statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

import { z } from 'zod';

import { DataError, messageOf, shown, UsageError } from '../errors.js';
import type { Mask, Size } from '../records.js';
import { fromCocoString } from './coco-string.js';
import { PIXEL_LIMIT } from './image.js';
import { unionMasks } from './mask.js';
import { maskOfPolygon } from './polygon-coco.js';
import { parseJson, readText } from './text.js';

const Id = z.int();
const Image = z.object({ id: Id, file_name: z.string().min(1), width: z.int().min(1), height: z.int().min(1) });
const Annotation = z.object({ id: Id, image_id: Id, category_id: Id.default(0), segmentation: z.unknown().optional() });
const Category = z.object({ id: Id, name: z.string() });
const File = z.object({
  images: z.array(Image),
  annotations: z.array(Annotation),
  categories: z.array(Category).default([]),
});

const Runs = z.object({
  size: z.tuple([z.int().min(1), z.int().min(1)]),
  counts: z.union([z.string(), z.array(z.int().min(0))]),
});
const Segmentation = z.union([z.array(z.array(z.number())).min(1), Runs]);

export type CocoImage = z.output<typeof Image>;
export type CocoAnnotation = z.output<typeof Annotation>;

/** A file of images and their annotations, by id. */
export interface CocoFile {
  readonly images: ReadonlyMap<number, CocoImage>;
  readonly annotations: ReadonlyMap<number, CocoAnnotation>;
  readonly categories: ReadonlyMap<number, string>;
}

const FILES_KEPT = 2;
const kept = new Map<string, { stamp: string; file: CocoFile }>();

/**
 * Reads `instances.json` and its like; the last two are remembered, for a set asks for each of its masks.
 *
 * @throws {UsageError} if it can't be read, lacks images or annotations with their ids, or two share one; outlines are
 * looked at later.
 */
export function readCocoFile(path: string): CocoFile {
  const stamp = stampOf(path);
  const known = kept.get(path);
  if (known?.stamp === stamp) return known.file;

  const file = opened(path);
  kept.delete(path);
  kept.set(path, { stamp, file });
  if (kept.size > FILES_KEPT) kept.delete(kept.keys().next().value as string);
  return file;
}

/**
 * The mask of one annotation: polygons united, run lengths, or COCO's string of them. Polygons of fewer than three
 * points enclose nothing, as in pycocotools, and are left out beside others.
 *
 * @throws {DataError} if it is none of these, does not fit `size`, or `size` has more pixels than a picture may have.
 */
export function cocoMask(segmentation: unknown, size: Size): Mask {
  const parsed = Segmentation.safeParse(segmentation);
  if (!parsed.success)
    throw new DataError(`segmentation: expected polygons, or size and counts; got ${shown(segmentation)}`);
  if (size.width * size.height > PIXEL_LIMIT)
    throw new DataError(`segmentation: expected at most ${PIXEL_LIMIT} pixels; got ${size.width}x${size.height}`);
  if (Array.isArray(parsed.data)) {
    const areas = parsed.data.filter((flat) => flat.length >= 6);
    return unionMasks((areas.length > 0 ? areas : parsed.data).map((flat) => maskOfPolygon(flat, size)));
  }

  const {
    counts,
    size: [height, width],
  } = parsed.data;
  if (width !== size.width || height !== size.height)
    throw new DataError(
      `segmentation  size: expected ${size.width}x${size.height} as the image; got ${width}x${height}`,
    );
  if (typeof counts === 'string') return fromCocoString(counts, size);
  const pixels = counts.reduce((sum, run) => sum + run, 0);
  if (pixels !== width * height)
    throw new DataError(`segmentation  counts: expected runs that fill ${width}x${height}; got ${pixels} pixels`);
  return { width, height, counts };
}

function opened(path: string): CocoFile {
  let file;
  try {
    file = File.safeParse(parseJson(readText(path)));
  } catch (error) {
    throw new UsageError(`${path}  annotations: expected JSON; got ${messageOf(error)}`, { cause: error });
  }
  if (!file.success) {
    const [issue] = file.error.issues;
    throw new UsageError(
      `${path}  annotations: expected COCO's images and annotations; got at ${issue?.path.join('.') || 'the top'}: ${issue?.message}`,
    );
  }
  const { images, annotations, categories } = file.data;
  return {
    images: byId(images, `${path}  images`),
    annotations: byId(annotations, `${path}  annotations`),
    categories: new Map(categories.map(({ id, name }) => [id, name])),
  };
}

/** By id; the same entry may be listed again. @throws {UsageError} if two share one. */
function byId<Entry extends { readonly id: number }>(entries: readonly Entry[], where: string): Map<number, Entry> {
  const known = new Map<number, Entry>();
  for (const entry of entries) {
    const other = known.get(entry.id);
    if (other && !isDeepStrictEqual(other, entry))
      throw new UsageError(`${where}: expected an id for each; got ${entry.id} twice, of entries that differ`);
    known.set(entry.id, entry);
  }
  return known;
}

function stampOf(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (!stats?.isFile())
    throw new UsageError(`${path}  annotations: expected a file; got ${stats ? 'a folder' : 'nothing there'}`);
  return `${stats.mtimeMs} ${stats.size}`;
}
