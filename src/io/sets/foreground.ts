import { join, parse } from 'node:path';

import { shown, UsageError } from '../../errors.js';
import { findPairs, holdsPictures, type Pair } from '../dataset.js';

/** Folders of images and of masks, each the first that is there; masks may lie in several. */
interface Split {
  readonly images: readonly string[];
  readonly masks: readonly string[];
}

interface Layout {
  /** Possible names of the set's folder. */
  readonly folders: readonly string[];
  readonly splits: Readonly<Record<string, Split>>;
  /** Images to leave out, by a part of their name. */
  readonly without?: string;
}

const one = (images: string, masks: string): Split => ({ images: [images], masks: [masks] });
const small: Split = {
  images: ['Imgs', 'imgs', 'Image', 'Images', 'images'],
  masks: ['GT', 'gt', 'Mask', 'Masks', 'mask', 'masks', 'ground_truth_mask'],
};
const omron: Split = {
  images: ['DUT-OMRON-image', 'DUT-OMRON-image/DUT-OMRON-image', ...small.images],
  masks: ['pixelwiseGT-new-PNG', 'pixelwiseGT-new-PNG/pixelwiseGT-new-PNG', ...small.masks],
};
const camo = (part: string): Split => ({ images: [`Images/${part}`], masks: [`GT/${part}`, 'GT'] });

/** Folders of the published sets' pictures after unpacking. */
const layouts = {
  cod10k: {
    folders: ['COD10K-v3', 'COD10K'],
    splits: { train: one('Train/Image', 'Train/GT_Object'), test: one('Test/Image', 'Test/GT_Object') },
    without: 'NonCAM',
  },
  camo: { folders: ['CAMO-V.1.0-CVIU2019', 'CAMO'], splits: { train: camo('Train'), test: camo('Test') } },
  nc4k: { folders: ['NC4K'], splits: { test: small } },
  chameleon: { folders: ['CHAMELEON', 'CHAMELEON_TestingDataset'], splits: { test: small } },
  dis5k: {
    folders: ['DIS5K'],
    splits: Object.fromEntries(
      ['TR', 'VD', 'TE1', 'TE2', 'TE3', 'TE4'].map((part) => [
        part.toLowerCase(),
        one(`DIS-${part}/im`, `DIS-${part}/gt`),
      ]),
    ),
  },
  duts: {
    folders: ['DUTS'],
    splits: {
      train: one('DUTS-TR/DUTS-TR-Image', 'DUTS-TR/DUTS-TR-Mask'),
      test: one('DUTS-TE/DUTS-TE-Image', 'DUTS-TE/DUTS-TE-Mask'),
    },
  },
  'dut-omron': { folders: ['DUT-OMRON'], splits: { test: omron } },
  'hku-is': { folders: ['HKU-IS'], splits: { test: small } },
  ecssd: { folders: ['ECSSD'], splits: { test: small } },
  'pascal-s': { folders: ['PASCAL-S'], splits: { test: small } },
} as const satisfies Record<string, Layout>;
export type ForegroundSet = keyof typeof layouts;

/**
 * A set of one object an image: camouflaged (COD10K, CAMO, NC4K, CHAMELEON), salient (DUTS, DUT-OMRON, HKU-IS, ECSSD,
 * PASCAL-S) or cut in detail (DIS5K).
 *
 * Images without a mask are items without one; those of COD10K without a camouflaged object are excluded.
 *
 * @param root the set's own folder, or the one that holds it.
 * @throws {UsageError} if the split is unknown, or its folders are missing or empty.
 */
export function foregroundItems(set: ForegroundSet, root: string, split: string): readonly Pair[] {
  const { folders, splits, without }: Layout = layouts[set];
  const wanted = splits[split];
  if (!wanted)
    throw new UsageError(`split: expected one of ${Object.keys(splits).join(', ')} of ${set}; got ${shown(split)}`);
  const bases = [...folders.map((folder) => join(root, folder)), root];
  const there = (paths: readonly string[]): string[] =>
    bases.flatMap((base) => paths.map((path) => join(base, path))).filter(holdsPictures);
  const [images] = there(wanted.images);
  const masks = there(wanted.masks);
  if (images === undefined || masks.length === 0) {
    const lacking = images === undefined ? wanted.images : wanted.masks;
    throw new UsageError(
      `${root}  ${set}: expected ${lacking.map((path) => join(folders[0], path)).join(' or ')}; got no pictures there`,
    );
  }
  return findPairs({ images, masks }).all.filter(
    ({ image }) => without === undefined || !parse(image).name.includes(without),
  );
}

export const foregroundSets = Object.keys(layouts) as ForegroundSet[];
