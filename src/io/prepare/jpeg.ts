import { statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join, parse } from 'node:path';

import sharp from 'sharp';

import { DataError, messageOf, UsageError } from '../../errors.js';
import type { Size } from '../../records.js';
import { imageSize, PIXEL_LIMIT } from '../image.js';
import { filesIn, type Step } from './step.js';

/** Other kinds of picture that become JPEG. */
const OTHERS = ['.png', '.bmp', '.tif', '.tiff', '.webp'];
/** Longest side, px, of what has too many pixels. */
const LONGEST = 4096;

/**
 * Steps that turn every picture in a folder and those inside it into an RGB JPEG of quality 95, `NAME.jpg` beside it. What has
 * more than 89,478,485 pixels becomes 4,096 px on its longer side, JPEGs too, in their place; other JPEGs stay as they are.
 *
 * Masks are not for this: JPEG blurs their edges.
 *
 * @param replace removes each picture once its JPEG is there.
 * @throws {UsageError} if there is no such folder, or two of its pictures would become one.
 * @throws {DataError} if a JPEG has no readable header.
 */
export async function jpegSteps(root: string, { replace = false }: { readonly replace?: boolean } = {}): Promise<Step[]> {
  const steps: Step[] = [];
  const taken = new Map<string, string>();
  for (const from of filesIn(root, 'jpeg')) {
    const { dir, name, ext } = parse(from);
    if (['.jpg', '.jpeg'].includes(ext.toLowerCase())) {
      const { width, height } = await imageSize(from);
      if (width * height > PIXEL_LIMIT) steps.push({ text: `${from} made smaller`, run: () => writeJpeg(from, from, fitted({ width, height })) });
      continue;
    }
    if (!OTHERS.includes(ext.toLowerCase())) continue;
    const to = join(dir, `${name}.jpg`);
    const other = taken.get(to);
    if (other !== undefined) throw new UsageError(`${from}  jpeg: expected another name than that of ${other}; got the same; way out: rename one`);
    taken.set(to, from);
    if (replace || !isThere(to)) steps.push({ text: `${from} -> ${to}${replace ? ', replaced' : ''}`, run: () => convert(from, to, replace) });
  }
  return steps;
}

async function convert(from: string, to: string, replace: boolean): Promise<void> {
  const size = fitted(await imageSize(from));
  if (isThere(to)) await sameSize(to, size);
  else await writeJpeg(from, to, size);
  if (replace) await rm(from);
}

async function writeJpeg(from: string, to: string, { width, height }: Size): Promise<void> {
  const partial = `${to}.partial`;
  try {
    const upright = sharp(from, { limitInputPixels: false, failOn: 'truncated', ignoreIcc: true }).autoOrient().removeAlpha().toColourspace('srgb');
    await upright.resize(width, height, { fit: 'fill', kernel: 'lanczos3' }).jpeg({ quality: 95 }).toFile(partial);
    await rename(partial, to);
  } catch (error) {
    await rm(partial, { force: true });
    throw new DataError(`${from}  jpeg: expected a picture that can be decoded to its end; got ${messageOf(error)}`, { cause: error });
  }
}

/** A picture is removed only for the JPEG that was made of it. */
async function sameSize(path: string, { width, height }: Size): Promise<void> {
  const found = await imageSize(path);
  if (found.width !== width || found.height !== height) throw new DataError(`${path}  jpeg: expected ${width}x${height}, made of the picture beside it; got ${found.width}x${found.height}`);
}

/** The size that a picture is stored at: its own, unless it has too many pixels. */
export function fitted({ width, height }: Size): Size {
  if (width * height <= PIXEL_LIMIT) return { width, height };
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}
