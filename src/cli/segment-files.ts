import { readFileSync, statSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname, join, parse, relative, resolve, sep } from 'node:path';

import { z } from 'zod';

import { DataError, shortPath, UsageError } from '../errors.js';
import { resultStem } from '../io/segment-results.js';
import { digest, sha256Of } from '../io/sealed-folder.js';
import { foldName, kindAt, putFile } from '../io/user-files.js';

/** Paths of a result's files. */
export interface Files {
  readonly mask: string;
  readonly overlay: string;
  readonly json: string;
}

/** An image and the paths of its result. */
export interface Placed {
  readonly path: string;
  readonly files: Files;
}

export function filesOf(out: string, name: string): Files {
  const at = (end: string): string => join(out, `${name}.${end}`);
  return { mask: at('mask.png'), overlay: at('overlay.png'), json: at('json') };
}

const pathsOf = ({ mask, overlay, json }: Files): string[] => [mask, overlay, json];

/**
 * Names results by their images, `NAME`; if several images share a name the later ones are `NAME-2`, `NAME-3` …,
 * without using another image's own name; a name that is too long for a file is cut, see `resultStem`. No two results
 * share a file, also on file systems that ignore case.
 */
export function placed(images: readonly string[], folder: string): Placed[] {
  const own = new Set(images.map((path) => foldName(resultStem(parse(path).name))));
  const times = new Map<string, number>();
  return images.map((path) => {
    const name = resultStem(parse(path).name);
    const key = foldName(name);
    const nameOf = (time: number): string => resultStem(time === 1 ? name : `${name}-${time}`);
    let time = (times.get(key) ?? 0) + 1;
    while (time > 1 && own.has(foldName(nameOf(time)))) time++;
    times.set(key, time);
    return { path, files: filesOf(folder, nameOf(time)) };
  });
}

/**
 * Checks, before any work, that results may be written. Only an unchanged earlier result for the same image may be
 * replaced.
 *
 * @param overwrite allows replacing other files, too, but never input images or folders.
 * @throws {UsageError} naming the first file that may not be replaced.
 */
export async function refuseTaken(results: readonly Placed[], folder: string, overwrite: boolean): Promise<void> {
  let at = folder;
  while (kindAt(at) === undefined) at = dirname(at);
  if (!statSync(at, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(
      `${shortPath(folder)}  --out: expected a folder, or room for one; got ${shortPath(at)}, a ${kindAt(at)}`,
    );

  const inputs = new Set(results.flatMap(({ path }) => identity(path) ?? []));
  const lost = results.flatMap(({ files }) => pathsOf(files)).find((file) => inputs.has(identity(file) ?? ''));
  if (lost !== undefined)
    throw new UsageError(
      `${shortPath(folder)}  --out: expected a folder without the images; got ${shortPath(lost)} there, which would be written over; way out: another folder`,
    );

  const taken: Taken[] = [];
  for (const result of results)
    taken.push(...(await takenBy(result)).filter(({ removable }) => !overwrite || !removable));
  const [first, ...others] = taken;
  if (first === undefined) return;
  const more = others.length === 0 ? '' : `, and ${others.length} more such files`;
  throw new UsageError(
    `${first.text}${more}; way out: another --out${taken.every(({ removable }) => removable) ? ', or --overwrite' : ''}`,
  );
}

/** The file that a path leads to, links followed. */
function identity(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found && `${found.dev}:${found.ino}`;
}

/** An entry at a result's path that is no earlier result for the same image. */
interface Taken {
  readonly text: string;
  /** Whether it can be replaced at all. */
  readonly removable: boolean;
}

async function takenBy({ path, files }: Placed): Promise<Taken[]> {
  const seal = sealOf(files.json);
  const mine = seal !== undefined && resolve(files.json, '..', seal.image) === resolve(path);
  const taken: Taken[] = [];
  for (const file of pathsOf(files)) {
    const kind = kindAt(file);
    if (kind === undefined || (mine && (await isSealed(file, files, seal)))) continue;
    const of =
      seal !== undefined && (await isSealed(file, files, seal))
        ? `the result for ${shortPath(resolve(files.json, '..', seal.image))}`
        : kind === 'file'
          ? 'a file that it did not write, or that was changed since'
          : `a ${kind}`;
    taken.push({
      text: `${shortPath(file)}  segment: expected nothing there, or the earlier result for ${shortPath(path)}; got ${of}`,
      removable: kind !== 'folder',
    });
  }
  return taken;
}

/** A result's record of its files, in its JSON. */
const Seal = z.object({
  files: z.object({
    /** The image, from the folder of the JSON. */
    image: z.string(),
    /** SHA-256 of the bytes, hexadecimal. */
    mask: z.string(),
    overlay: z.string(),
  }),
  /** Of the rest of the JSON. */
  sha256: z.string(),
});
type Seal = z.output<typeof Seal>['files'];

/** The seal of an unchanged JSON; undefined for any other file. */
function sealOf(file: string): Seal | undefined {
  if (kindAt(file) !== 'file') return undefined;
  try {
    const read: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const { files, sha256 } = Seal.parse(read);
    const { sha256: _, ...rest } = read as { readonly sha256: string };
    return digest(rest) === sha256 ? files : undefined;
  } catch {
    return undefined;
  }
}

async function isSealed(file: string, { mask, json }: Files, seal: Seal): Promise<boolean> {
  return (
    kindAt(file) === 'file' && (file === json || (await sha256Of(file)) === (file === mask ? seal.mask : seal.overlay))
  );
}

/** Pictures of a folder, without masks and overlays of earlier results. */
export async function withoutResults(paths: readonly string[]): Promise<string[]> {
  const kept: string[] = [];
  for (const path of paths) {
    const { dir, base } = parse(path);
    const [, name] = /^(.+)\.(?:mask|overlay)\.png$/.exec(base) ?? [];
    const files = name === undefined ? undefined : filesOf(dir, name);
    const seal = files && sealOf(files.json);
    if (!files || !seal || !(await isSealed(path, files, seal))) kept.push(path);
  }
  return kept;
}

/**
 * Writes a result. Its JSON names the image and holds the SHA-256 of the mask, the overlay and itself, so a later call
 * recognises its own files.
 *
 * @throws {DataError} if a file appeared in their place since `refuseTaken`.
 */
export async function writeFiles(
  placed: Placed,
  { mask, overlay, json }: { readonly mask: Uint8Array; readonly overlay: Uint8Array; readonly json: object },
  overwrite: boolean,
): Promise<void> {
  const { path, files } = placed;
  const [taken] = (await takenBy(placed)).filter(({ removable }) => !overwrite || !removable);
  if (taken) throw new DataError(taken.text);
  const folder = join(files.json, '..');
  await mkdir(folder, { recursive: true });
  const image = relative(folder, resolve(path)).split(sep).join('/');
  const sealed = { ...json, files: { image, mask: digest(mask), overlay: digest(overlay) } };
  // If this is killed at any time, each file either matches the JSON or is the user's.
  for (const file of [files.mask, files.overlay]) await rm(file, { force: true });
  await putFile(files.json, `${JSON.stringify({ ...sealed, sha256: digest(sealed) }, null, 2)}\n`);
  await putFile(files.mask, mask);
  await putFile(files.overlay, overlay);
}
