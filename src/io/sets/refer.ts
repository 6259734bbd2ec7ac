import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { messageOf, shown, UsageError } from '../../errors.js';
import { readCocoFile } from '../coco-annotations.js';
import type { Pair } from '../dataset.js';
import { readPickle } from '../pickle.js';
import { parseJson, readText } from '../text.js';
import { cocoReference } from '../truth.js';

/** Files of the expressions, by set; the folder is the set's name. */
const EXPRESSIONS = {
  refcoco: ['refs(unc).p', 'refs(unc).json'],
  'refcoco+': ['refs(unc).p', 'refs(unc).json'],
  refcocog: ['refs(umd).p', 'refs(umd).json'],
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

/**
 * RefCOCO, RefCOCO+, RefCOCOg or gRefCOCO: one item an expression, in the order of the file, called `REF-SENTENCE` by
 * their ids.
 *
 * @param root holds `refcoco` and so on, or `Refer_Segm` with them in it; photos are in `images`, by default
 * `coco_2014/train2014`.
 * @throws {UsageError} if a file is missing or not of its kind, an image unknown, or the split empty.
 */
export function referItems(set: ReferSet, root: string, split: string, images?: string): Pair[] {
  const base = [join(root, 'Refer_Segm'), root].find((folder) => existsSync(join(folder, set))) ?? root;
  const photos = images ?? join(base, 'coco_2014', 'train2014');
  const instances = join(base, set, 'instances.json');
  const references = readReferences(set, join(base, set));
  const taken = references.filter((reference) => reference.split === split);
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

function readReferences(set: ReferSet, folder: string): Reference[] {
  const path = EXPRESSIONS[set].map((file) => join(folder, file)).find((file) => existsSync(file));
  if (path === undefined)
    throw new UsageError(`${folder}  ${set}: expected ${EXPRESSIONS[set].join(' or ')}; got neither`);
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
