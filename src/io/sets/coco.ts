import { join } from 'node:path';

import { UsageError } from '../../errors.js';
import { readCocoFile } from '../coco-annotations.js';
import type { Pair } from '../dataset.js';
import { cocoReference } from '../truth.js';

/**
 * A COCO file: one item an image and category, called `IMAGE-CATEGORY` by their ids; the ground truth is all of that
 * category, the instruction its name.
 *
 * @param images folder that the file names are relative to.
 * @throws {UsageError} if the file can't be read, has no annotation, or one speaks of an image that it does not list.
 */
export function cocoItems(path: string, images: string): Pair[] {
  const { images: known, annotations, categories } = readCocoFile(path);
  const groups = new Map<string, { image: number; category: number; ids: number[] }>();
  for (const { id, image_id: image, category_id: category } of annotations.values()) {
    const key = `${image}-${category}`;
    const group = groups.get(key) ?? { image, category, ids: [] };
    group.ids.push(id);
    groups.set(key, group);
  }
  if (groups.size === 0) throw new UsageError(`${path}  annotations: expected at least one; got none`);
  return [...groups].map(([name, { image, category, ids }]): Pair => {
    const file = known.get(image)?.file_name;
    if (file === undefined)
      throw new UsageError(`${path}  images: expected ${image}, of which annotation ${ids[0]} speaks; got none`);
    const instruction = categories.get(category);
    return {
      name,
      image: join(images, file),
      mask: cocoReference(path, ids),
      ...(instruction === undefined ? { task: 'foreground' } : { instruction, task: 'referring' }),
    };
  });
}
