import { readdirSync } from 'node:fs';
import { basename, join, parse, relative } from 'node:path';

import { shown, UsageError } from '../../errors.js';
import { findImages, findPairs, holdsPictures, type Pair } from '../dataset.js';
import { inAnyCase } from '../in-any-case.js';
import { lying } from '../lying.js';
import { layouts, MIXED_TRAIN, SHARED, type ForegroundSet, type Layout, type Split } from './layouts.js';

/** Where a set may lie: a folder, and the folders of its images and masks in it. */
interface Place {
  readonly base: string;
  readonly images: readonly string[];
  readonly masks: readonly string[];
  /** Beginning of the names of the set's images, where others lie among them. */
  readonly begins?: string;
}

/**
 * A set of one object an image: camouflaged (COD10K, CAMO, NC4K, CHAMELEON), salient (DUTS, DUT-OMRON, HKU-IS, ECSSD,
 * PASCAL-S) or cut in detail (DIS5K), as it is published or as others pass it on.
 *
 * Images without a mask are items without one; those of COD10K without a camouflaged object are excluded.
 *
 * @param root the set's own folder, or the one that holds it; folders in it are found in upper or lower case.
 * @param bare whether a set may have no masks at all.
 * @throws {UsageError} if the split is unknown, or its folders are missing or empty.
 */
export function foregroundItems(set: ForegroundSet, root: string, split: string, bare = false): readonly Pair[] {
  const { splits, without }: Layout = layouts[set];
  const wanted = splits[split];
  if (!wanted)
    throw new UsageError(`split: expected one of ${Object.keys(splits).join(', ')} of ${set}; got ${shown(split)}`);
  const places = placesOf(set, root, split, wanted);
  const found = places.map((place) => itemsAt(place)).find((items) => items !== undefined);
  const items = found ?? (bare ? places.map(imagesAt).find((images) => images !== undefined) : undefined);
  if (!items) throw new UsageError(`${root}  ${set}: expected ${expected(places, root)}; got ${lying(root)}`);
  return items.filter(({ image }) => without === undefined || !parse(image).name.includes(without));
}

/** Known places of a set, likelier ones first. */
function placesOf(set: ForegroundSet, root: string, split: string, { images, masks, shared }: Split): Place[] {
  const { folders, begins }: Layout = layouts[set];
  const inRoot = (folder: string): string => inAnyCase(root, folder);
  const own = [...folders.map(inRoot), root].map((base): Place => ({ base, images, masks }));
  const test = shared && split === 'test' && basename(root) !== MIXED_TRAIN;
  const shortest = folders.toSorted((a, b) => a.length - b.length);
  const unpacked = [...folders, ...shortest.map((folder) => join('TestDataset', folder))].map(inRoot);
  const passed = test ? [...unpacked, root].map((base): Place => ({ base, ...SHARED })) : [];
  const mixed =
    split === 'train' && begins !== undefined
      ? [inRoot(MIXED_TRAIN), ...(basename(root) === MIXED_TRAIN ? [root] : [])]
      : [];
  return [...own, ...passed, ...mixed.map((base): Place => ({ base, ...SHARED, begins: begins as string }))];
}

/** The items of a place; undefined if it has none, or no masks. */
function itemsAt({ base, images, masks, begins }: Place): Pair[] | undefined {
  const there = (paths: readonly string[]): string[] =>
    paths.map((path) => inAnyCase(base, path)).filter(holdsPictures);
  const [folder] = there(images);
  if (folder === undefined) return undefined;
  const own = ({ image }: Pair): boolean => begins === undefined || basename(image).startsWith(begins);
  const kept = there(masks).filter((path) => path !== folder);
  if (kept.length > 0) {
    const pairs = findPairs({ images: folder, masks: kept }).all.filter(own);
    return pairs.length > 0 ? pairs : undefined;
  }
  // Photographs and masks in one folder differ by their extension.
  const names = new Set(readdirSync(folder));
  const photos = [...names].filter((name) => /\.jpe?g$/i.test(name));
  if (!photos.some((name) => names.has(`${parse(name).name}.png`))) return undefined;
  return findPairs({ images: folder, masks: folder, pattern: '*.jp*g' }).all.filter(own);
}

function imagesAt({ base, images }: Place): readonly Pair[] | undefined {
  const folder = images.map((path) => inAnyCase(base, path)).find(holdsPictures);
  return folder === undefined ? undefined : findImages({ images: folder }).all;
}

/** The masks that are missing beside images; or, where there are none, the published place and the one of others. */
function expected(places: readonly Place[], root: string): string {
  const texts = places.map(({ base, images, masks }) => {
    const folder = images.find((path) => holdsPictures(inAnyCase(base, path)));
    const at = relative(root, base);
    const inside = (path: string): string => join(at, path);
    return folder === undefined
      ? { near: 0, text: `${inside(images[0])} and ${inside(masks[0])}` }
      : {
          near: 1,
          text: masks
            .slice(0, 3)
            .map((path) => inside(path))
            .join(' or '),
        };
  });
  const near = texts.find((one) => one.near > 0);
  if (near) return near.text;
  const others = texts
    .filter(({ text }) => text.startsWith('TestDataset') || text.startsWith(MIXED_TRAIN))
    .map(({ text }) => text);
  return [...new Set([texts[0].text, ...others.slice(0, 1)])].join('; or ');
}

export type { ForegroundSet } from './layouts.js';
export const foregroundSets = Object.keys(layouts) as ForegroundSet[];
