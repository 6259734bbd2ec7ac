import { readdirSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { dirname, join, parse } from 'node:path';

import { DataError, messageOf, UsageError } from '../../errors.js';
import type { Size } from '../../records.js';
import { imageSize, PIXEL_LIMIT } from '../image.js';
import { syncFile, syncFolder } from '../manifest.js';
import { openPicture, pictureHeader } from '../open-picture.js';
import { readPictureFile } from '../raster-file.js';
import { foldName, kindAt, putFile } from '../user-files.js';
import { filesIn, type Step } from './step.js';

const JPEG = ['.jpg', '.jpeg'];
/** Other kinds of picture that become JPEG. */
const OTHERS = ['.png', '.bmp', '.tif', '.tiff', '.webp'];
/** Longest side, px, of what has too many pixels. */
const LONGEST = 4096;

/**
 * Steps that turn every picture in a folder and those inside it into an RGB JPEG of quality 95, `NAME.jpg` beside it;
 * of what has more than 89,478,485 pixels, 4,096 px on its longer side. JPEGs stay as they are.
 *
 * Nothing is overwritten, and a picture with a `NAME.jpg` counts as done. Not for masks: JPEG blurs their edges.
 *
 * @param replace removes each picture once its JPEG is on disk; an existing `NAME.jpg` must be, byte for byte, the JPEG
 * of the picture, which distinguishes an interrupted run from a photograph beside its mask. JPEGs with too many pixels
 * are made smaller in their place.
 * @throws {UsageError} before anything is written: if there is no such folder, two pictures would become one, and with
 * `replace` if `NAME.jpg` is anything but the picture's JPEG, or a file holds several pictures.
 * @throws {DataError} if a JPEG has no readable header, or a picture that has a `NAME.jpg` can't be decoded.
 */
export async function jpegSteps(
  root: string,
  { replace = false }: { readonly replace?: boolean } = {},
): Promise<Step[]> {
  const steps: Step[] = [];
  const sources = new Map<string, string>();
  const there = namesByFolder();
  for (const from of filesIn(root, 'jpeg')) {
    const { dir, name, ext } = parse(from);
    if (JPEG.includes(ext.toLowerCase())) steps.push(...(await shrinking(from, replace)));
    if (!OTHERS.includes(ext.toLowerCase())) continue;

    const key = join(dir, foldName(`${name}.jpg`));
    const other = sources.get(key);
    if (other !== undefined)
      throw new UsageError(
        `${from}  jpeg: expected another name than that of ${other}; got the same; way out: rename one`,
      );
    sources.set(key, from);
    const taken = there(dir).get(foldName(`${name}.jpg`));
    const to = join(dir, taken ?? `${name}.jpg`);
    if (taken !== undefined && !replace) continue;
    if (replace) await refuseSeveral(from);
    if (taken !== undefined) await refuseOther(from, to);
    const text =
      taken === undefined
        ? `${from} -> ${to}${replace ? ', replaced' : ''}`
        : `${from} removed, of which ${to} was made`;
    steps.push({ text, run: () => convert(from, to, replace) });
  }
  return steps;
}

/** What is in a folder, by folded name; each folder is read once. */
function namesByFolder(): (dir: string) => ReadonlyMap<string, string> {
  const known = new Map<string, ReadonlyMap<string, string>>();
  return (dir) => {
    const names = known.get(dir) ?? new Map(readdirSync(dir).map((name) => [foldName(name), name]));
    known.set(dir, names);
    return names;
  };
}

/** A JPEG with too many pixels is the user's own: it is overwritten only on request. */
async function shrinking(path: string, replace: boolean): Promise<Step[]> {
  const size = await imageSize(path);
  if (size.width * size.height <= PIXEL_LIMIT) return [];
  if (!replace)
    return [
      {
        text: `${path} left as it is, with more than ${PIXEL_LIMIT} pixels; --replace makes it smaller`,
        run: async () => {},
      },
    ];
  return [{ text: `${path} made smaller`, run: async () => putFile(path, await jpegOf(path), { lasting: true }) }];
}

/** A JPEG holds one picture: the other pages of a file would be lost with it. */
async function refuseSeveral(from: string): Promise<void> {
  // An unreadable header is reported when the file's turn comes.
  const pages = await pictureHeader(from).then(
    (header) => header.pages,
    () => 1,
  );
  if (pages > 1)
    throw new UsageError(
      `${from}  jpeg: expected one picture to be replaced; got ${pages}, of which a JPEG holds the first; way out: leave out --replace, or move it elsewhere`,
    );
}

async function refuseOther(from: string, to: string): Promise<void> {
  if (await isJpegOf(to, await jpegOf(from))) return;
  throw new UsageError(
    `${from}  jpeg: expected ${to} to be made of it, before it is removed; got another ${kindAt(to)}; way out: leave out --replace, or move one of them elsewhere`,
  );
}

async function convert(from: string, to: string, replace: boolean): Promise<void> {
  const jpeg = await jpegOf(from);
  if (kindAt(to) === undefined) await putFile(to, jpeg, { lasting: replace });
  else if (!(await isJpegOf(to, jpeg)))
    throw new DataError(
      `${to}  jpeg: expected nothing, or what was made of the picture beside it; got a ${kindAt(to)} that came meanwhile`,
    );
  if (!replace) return;
  await syncFile(to);
  await syncFolder(dirname(to));
  await rm(from);
}

/** A link's target may disappear at any time, so a link does not count as a JPEG. */
async function isJpegOf(path: string, jpeg: Uint8Array): Promise<boolean> {
  return kindAt(path) === 'file' && Buffer.compare(await readFile(path), jpeg) === 0;
}

/** The same bytes whenever it is called. @throws {DataError} if the picture can't be decoded to its end. */
async function jpegOf(from: string): Promise<Buffer> {
  try {
    // Bytes, not a path: the decoder may have cached the path's earlier contents.
    const bytes = await readPictureFile(from);
    const { width, height } = fitted(await pictureHeader(bytes));
    const { pixels } = await openPicture(bytes, false);
    const upright = pixels.removeAlpha().toColourspace('srgb');
    return await upright.resize(width, height, { fit: 'fill', kernel: 'lanczos3' }).jpeg({ quality: 95 }).toBuffer();
  } catch (error) {
    throw new DataError(`${from}  jpeg: expected a picture that can be decoded to its end; got ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** The size of a picture's JPEG: its own, or smaller if it has too many pixels. */
export function fitted({ width, height }: Size): Size {
  if (width * height <= PIXEL_LIMIT) return { width, height };
  const scale = Math.min(1, LONGEST / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}
