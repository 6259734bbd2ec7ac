import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, parse } from 'node:path';

import { DataError, UsageError } from '../../errors.js';
import { kindAt } from '../user-files.js';
import { filesIn, type Step } from './step.js';

/**
 * As COD10K names pictures and masks; its lists and annotations, such as `CAM-NonCAM_Instance_Train.txt`, are of all
 * scenes.
 */
const NON_CAM = /-NonCAM-.*\.(jpe?g|png)$/i;

/**
 * Steps that remove the images and masks that COD10K holds of scenes without a camouflaged object: those with
 * `-NonCAM-` in their name.
 *
 * @throws {UsageError} if there is no such folder.
 */
export function nonCamSteps(root: string): Step[] {
  const found = filesIn(root, 'cod10k').filter((path) => NON_CAM.test(basename(path)));
  return found.map((path) => ({ text: `${path} removed`, run: () => rm(path) }));
}

/**
 * Steps that move CAMO's masks, all in `GT`, to `GT/Train` and `GT/Test` by the names in `Images/Train` and
 * `Images/Test`.
 *
 * A mask of no image stays where it is.
 *
 * @param root holds `Images` and `GT`.
 * @throws {UsageError} if one of the folders is missing, or a name is in both parts.
 */
export function camoSteps(root: string): Step[] {
  const parts = new Map<string, string>();
  for (const part of ['Train', 'Test']) {
    for (const image of filesIn(join(root, 'Images', part), 'camo', false)) {
      const stem = parse(image).name;
      if (parts.has(stem))
        throw new UsageError(`${root}  camo: expected each image in Train or Test; got ${stem} in both`);
      parts.set(stem, part);
    }
  }
  return filesIn(join(root, 'GT'), 'camo', false).flatMap((path): Step[] => {
    const part = parts.get(parse(path).name);
    if (part === undefined) return [];
    const to = join(root, 'GT', part, basename(path));
    if (kindAt(to) !== undefined)
      throw new UsageError(`${path}  camo: expected no mask of its name in GT/${part}; got one`);
    return [{ text: `${path} -> ${to}`, run: () => moved(path, to) }];
  });
}

async function moved(from: string, to: string): Promise<void> {
  await mkdir(dirname(to), { recursive: true });
  if (kindAt(to) !== undefined)
    throw new DataError(`${to}  camo: expected nothing there; got a ${kindAt(to)} that came meanwhile`);
  await rename(from, to);
}
