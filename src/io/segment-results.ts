/** The pictures that `segr1 segment` writes for an image `NAME`: `NAME.mask.png` and `NAME.overlay.png`. */
import { parse } from 'node:path';

import { fittingStem } from './file-name.js';

const MASK = '.mask.png';
const OVERLAY = '.overlay.png';

/** What the results of an image are called: as the image, cut where a file's name would be too long. */
export function resultStem(name: string): string {
  return fittingStem(name, OVERLAY);
}

/**
 * Masks of a folder, each with the name of its image: the file's name without extension, and without `.mask` for a
 * result of `segment`. A result stands for its image also where the image itself lies beside it; its overlay is no mask.
 * Accents are in one form, for macOS writes another, and long names as `resultStem` cuts them.
 *
 * @param files names in one folder.
 */
export function namedMasks(files: readonly string[]): (readonly [name: string, file: string])[] {
  return maskFiles(files).map(([name, file]) => [resultStem(name.normalize()), file]);
}

function maskFiles(files: readonly string[]): (readonly [name: string, file: string])[] {
  const results = namesOf(files);
  const others = new Set(files.map((file) => parse(file).name));
  return files.flatMap((file) => {
    const name = resultStem(parse(file).name);
    const of = partOf(file);
    if (of !== undefined && results.has(of)) return file.endsWith(MASK) ? [[of, file]] : [];
    if (results.has(name)) return [];
    // A mask whose overlay is elsewhere.
    return [[file.endsWith(MASK) && of && !others.has(of) ? of : name, file]];
  });
}

/** Files of a folder without the masks and overlays of results whose image is among them. */
export function withoutResults(files: readonly string[]): string[] {
  const results = namesOf(files);
  const images = new Set(files.map((file) => resultStem(parse(file).name)));
  return files.filter((file) => {
    const name = partOf(file);
    return name === undefined || !results.has(name) || !images.has(name);
  });
}

/** Names of the images with both a mask and an overlay. */
function namesOf(files: readonly string[]): Set<string> {
  const all = new Set(files);
  const names = files.flatMap((file) => (file.endsWith(MASK) ? [file.slice(0, -MASK.length)] : []));
  return new Set(names.filter((name) => name !== '' && all.has(`${name}${OVERLAY}`)));
}

/** The image's name in that of a mask or an overlay. */
function partOf(file: string): string | undefined {
  const end = [MASK, OVERLAY].find((one) => file.endsWith(one));
  return end === undefined ? undefined : file.slice(0, -end.length);
}
