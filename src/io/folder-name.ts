import { resolve, sep } from 'node:path';

/** Names that say what a folder holds, not which set it is of. */
const COMMON = new Set(
  `im img imgs image images picture pictures photo photos jpg jpeg png gt mask masks truth truths label labels annotations
   ground_truth gt_object pred preds prediction predictions result results out output outputs train training trainset
   val valid validation dev test testing testset data dataset datasets rows runs before after root`.split(/\s+/),
);

/**
 * What a folder is called in tables: its name, with the folders around it where that alone says little, as in
 * `COD10K/Test/Image`.
 */
export function folderName(path: string): string {
  const parts = partsOf(path);
  const own = parts.findLastIndex((part) => !COMMON.has(part.toLowerCase()));
  return parts.slice(Math.max(own, parts.length - 4, 0)).join('/') || path;
}

/** Names for several folders, none of them shared: each with as many of the folders around it as it takes. */
export function folderNames(paths: readonly string[]): string[] {
  const whole = paths.map((path) => partsOf(path));
  const names = paths.map((path) => folderName(path));
  const shared = (i: number): boolean =>
    names.some((name, j) => j !== i && name === names[i] && whole[i].join('/') !== whole[j].join('/'));
  const longest = Math.max(0, ...whole.map((parts) => parts.length));
  for (let length = 2; length <= longest && names.some((_, i) => shared(i)); length++) {
    const again = names.map((_, i) => shared(i));
    again.forEach((yes, i) => {
      if (yes && names[i].split('/').length < length) names[i] = whole[i].slice(-length).join('/');
    });
  }
  return names;
}

function partsOf(path: string): string[] {
  return resolve(path).split(sep).filter(Boolean);
}
