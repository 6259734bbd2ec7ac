import { existsSync } from 'node:fs';
import { join, parse } from 'node:path';

import { DataError, UsageError } from '../../errors.js';
import { findImages, type Pair } from '../dataset.js';
import { lying } from '../lying.js';
import { readReasonAnnotation } from '../reason-truth.js';

/**
 * ReasonSeg: one item a text, image by image, called `IMAGE-TEXT` with the text's place in its file.
 *
 * An image whose file can't be read is one item without a text, so that the run can mark it.
 *
 * @param root holds the split's folder, or `ReasonSeg` with it, or LISA's `reason_seg`.
 * @throws {UsageError} if there is no such split, or it holds no images.
 */
export function reasonItems(root: string, split: string): Pair[] {
  const folder = ['reason_seg/ReasonSeg', 'ReasonSeg', '.']
    .map((path) => join(root, path, split))
    .find((path) => existsSync(path));
  if (folder === undefined)
    throw new UsageError(
      `split: expected a folder ReasonSeg/${split}, reason_seg/ReasonSeg/${split} or ${split} in ${root}; got ${lying(root)}`,
    );

  return findImages({ images: folder, pattern: '*.jpg' }).all.flatMap(({ image }): Pair[] => {
    const { dir, name } = parse(image);
    const mask = join(dir, `${name}.json`);
    try {
      const { text, is_sentence: sentences } = readReasonAnnotation(mask);
      return text.map((instruction, i) => ({
        name: `${name}-${i}`,
        image,
        mask,
        instruction,
        task: sentences ? 'reason-sentence' : 'reason-phrase',
      }));
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      return [{ name, image, mask, task: 'reason-sentence' }];
    }
  });
}
