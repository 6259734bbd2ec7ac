import { statSync } from 'node:fs';

import { UsageError } from '../../errors.js';
import type { Pair } from '../dataset.js';
import { lying } from '../lying.js';
import { cocoItems } from './coco.js';
import { foregroundItems, foregroundSets } from './foreground.js';
import { listedItems } from './listed.js';
import { reasonItems } from './reason.js';
import { referItems } from './refer.js';

/** Named sets: published ones, and two formats for your own. */
export const setNames = [
  'refcoco',
  'refcoco+',
  'refcocog',
  'grefcoco',
  'reasonseg',
  ...foregroundSets,
  'coco',
  'jsonl',
] as const;
export type SetName = (typeof setNames)[number];

export interface NamedSet {
  readonly set: SetName;
  /** Folder of the set, or the one that holds it; of `coco` and `jsonl` the file. */
  readonly root: string;
  /** `test` by default; `coco` and `jsonl` have none. */
  readonly split?: string | undefined;
  /** Folder of the images, if they are elsewhere. */
  readonly images?: string | undefined;
  /** `mark` lets a set of one object an image have no masks at all. */
  readonly maskless?: 'refuse' | 'mark';
}

/**
 * The items of a set, in the order of its files; each once, with its own text where it has one.
 *
 * @throws {UsageError} if there is nothing of this kind at `root`.
 */
export function setItems({ set, root, split = 'test', images, maskless }: NamedSet): readonly Pair[] {
  const isFile = statSync(root, { throwIfNoEntry: false })?.isFile() ?? false;
  const wantsFile = set === 'coco' || set === 'jsonl';
  if (isFile !== wantsFile)
    throw new UsageError(
      `root: expected a ${wantsFile ? 'file' : 'folder'} for ${set}; got ${isFile ? 'a file' : lying(root)}`,
    );
  if (set === 'jsonl') return listedItems(root, images);
  if (set === 'reasonseg') return reasonItems(root, split);
  if (set === 'refcoco' || set === 'refcoco+' || set === 'refcocog' || set === 'grefcoco')
    return referItems(set, root, split, images);
  if (set !== 'coco') return foregroundItems(set, root, split, maskless === 'mark');
  if (images === undefined)
    throw new UsageError('images: expected the folder of the images of a COCO file; got nothing');
  return cocoItems(root, images);
}
