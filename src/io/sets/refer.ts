import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { messageOf, shown, UsageError } from '../../errors.js';
import { readCocoFile } from '../coco-annotations.js';
import type { Pair } from '../dataset.js';
import { lying } from '../lying.js';
import { readPickle } from '../pickle.js';
import { parseJson, readText } from '../text.js';
import { cocoReference } from '../truth.js';

/** Files of the expressions, by set; the folder is the set's name. */
const EXPRESSIONS = {
  refcoco: ['refs(unc).p', 'refs(unc).json'],
  'refcoco+': ['refs(unc).p', 'refs(unc).json'],
  refcocog: ['refs(umd).p', 'refs(umd).json', 'refs(google).p', 'refs(google).json'],
  grefcoco: ['grefs(unc).json', 'grefs(unc).p'],
} as const;
export type ReferSet = keyof typeof EXPRESSIONS;

const Id = z.int();
const Reference = z.object({
  ref_id: Id,
  /** Several where several things are meant; -1 where none is. */
  ann_id: z.union([Id, z.array(Id)]),
  image_id: Id,
  split: z.string(),
  no_target: z.boolean().default(false),
  sentences: z.array(z.object({ sent_id: Id, sent: z.string() })),
});
type Reference = z.output<typeof Reference>;

/** Folders of the photos, by the tree that they are published in; MS COCO's own, refer's and LISA's. */
const PHOTOS = ['coco_2014/train2014', 'images/mscoco/images/train2014', 'images/train2014', 'train2014'];

/**
 * RefCOCO, RefCOCO+, RefCOCOg or gRefCOCO: one item an expression, in the order of the file, called `REF-SENTENCE` by
 * their ids.
 *
 * @param root holds `refcoco` and so on, or `Refer_Segm` or LISA's `refer_seg` with them in it; photos are in `images`,
 * by default the first of `PHOTOS` that is there.
 * @param split as in `val`; `google/val` and `umd/val` name also the file of the expressions.
 * @throws {UsageError} if a file is missing or not of its kind, an image unknown, or the split empty.
 */
export function referItems(set: ReferSet, root: string, split: string, images?: string): Pair[] {
  const base = [...['Refer_Segm', 'refer_seg'].map((folder) => join(root, folder)), root].find((folder) =>
    existsSync(join(folder, set)),
  );
  if (base === undefined)
    throw new UsageError(
      `${root}  ${set}: expected ${set}, Refer_Segm/${set} or refer_seg/${set} with its expressions; got ${lying(root)}`,
    );
  const places = PHOTOS.flatMap((path) => [join(base, path), join(root, path)]);
  const photos = images ?? places.find((path) => existsSync(path)) ?? places[0];
  const instances = join(base, set, 'instances.json');
  const [, by, part = split] = /^(\w+)\/(.+)$/.exec(split) ?? [];
  const references = readReferences(set, join(base, set), by);
  const taken = references.filter((reference) => reference.split === part);
  if (taken.length === 0) {
    throw new UsageError(
      `split: expected one of ${[...new Set(references.map((reference) => reference.split))].join(', ')} of ${set}; got ${shown(split)}`,
    );
  }
  const { images: known } = readCocoFile(instances);
  return taken.flatMap((reference) => {
    // The expressions' own file name has a suffix that no photo has.
    const image = known.get(reference.image_id);
    if (!image)
      throw new UsageError(
        `${instances}  images: expected ${reference.image_id}, of which ref ${reference.ref_id} speaks; got none`,
      );
    const mask = cocoReference(instances, annotationsOf(reference));
    return reference.sentences.map(({ sent_id, sent }): Pair => ({
      name: `${reference.ref_id}-${sent_id}`,
      image: join(photos, image.file_name),
      mask,
      instruction: sent,
      task: 'referring',
    }));
  });
}

/** @param by who split them: `umd` or `google`; any by default. */
function readReferences(set: ReferSet, folder: string, by?: string): Reference[] {
  const files = EXPRESSIONS[set].filter((file) => by === undefined || file.includes(`(${by})`));
  const path = files.map((file) => join(folder, file)).find((file) => existsSync(file));
  if (path === undefined)
    throw new UsageError(
      `${folder}  ${set}: expected ${files.length > 0 ? files.join(' or ') : `another than ${by}/`}; got ${lying(folder)}`,
    );
  let stored;
  try {
    stored = path.endsWith('.p') ? readPickle(readFileSync(path), path) : parseJson(readText(path));
  } catch (error) {
    throw new UsageError(
      messageOf(error).startsWith(path)
        ? messageOf(error)
        : `${path}  expressions: expected JSON; got ${messageOf(error)}`,
      { cause: error },
    );
  }
  const references = z.array(Reference).safeParse(stored);
  if (references.success) return references.data;
  const [issue] = references.error.issues;
  throw new UsageError(
    `${path}  expressions: expected a list of refs; got at ${issue?.path.join('.') || 'the top'}: ${issue?.message}`,
  );
}

function annotationsOf({ ann_id: ids, no_target: absent }: Reference): number[] {
  return absent ? [] : [ids].flat().filter((id) => id !== -1);
}
