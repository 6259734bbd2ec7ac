import { basename, dirname, join, parse } from 'node:path';

import type { Observable } from 'rxjs';
import type { z } from 'zod';

import { defined } from '../defined.js';
import { DataError, messageOf, shortPath, shown, UsageError } from '../errors.js';
import { benchmarkItems } from '../io/benchmarks/named.js';
import { findImages, findPairs, leftOut, type Pair } from '../io/dataset.js';
import { listedNames, without } from '../io/excluded.js';
import { fingerprintOfAll, hashOf } from '../io/fingerprint.js';
import { folderNames } from '../io/folder-name.js';
import { imageSize } from '../io/image.js';
import { encodeMask, maskArea } from '../io/mask.js';
import { drawScene, SCENE_SIDE } from '../io/scenes.js';
import { setItems } from '../io/sets/named.js';
import { isNoTarget, readTruth } from '../io/truth.js';
import type { ReadImage } from '../models/segmenter.js';
import { shuffled, uniform } from '../random.js';
import type { Sample, SceneKey, Size } from '../records.js';
import { frameOf, LoadOptions } from './load-options.js';
import { legacyReasoning, legacyReferring } from './scoring/protocol.js';
import { pulled, type Start, type Window } from '../streams/pulled.js';

export { LoadOptions } from './load-options.js';

type Checked = z.output<typeof LoadOptions>;
/** What one row is made of. */
type Item = Pair | { readonly name: string; readonly scene: SceneKey };

/** A row's mark; a fault counts against `tolerate`, a missing mask that the options allow does not. */
interface Mark {
  readonly reason: string;
  readonly fault: boolean;
}

/** What a source of rows works with. */
export interface LoadContext {
  readonly readImage: ReadImage;
  /** The credit window; every credit must be returned when its row leaves, or the stream stalls. */
  readonly window: Window;
  /** Where an interrupted run resumes; earlier rows are not made again. */
  readonly start?: Start | undefined;
}

/**
 * Rows from folders, published sets, or drawn scenes, each made once `window` has room for it. Each image is decoded
 * here once, at frame size, so unreadable ones are marked now; with a caching reader, later stages find it decoded.
 *
 * @throws {UsageError} at once if a folder is missing or empty, or an image has no mask and `maskless` is `refuse`.
 * @throws {DataError} through the stream, if more rows than `tolerate` can't be used.
 */
export function load({ readImage, window, start = BEGINNING }: LoadContext, options: LoadOptions): Observable<Sample> {
  const checked = LoadOptions.parse(options);
  const items = itemsOf(checked);
  return pulled(() => samples(readImage, items, checked, start), window);
}

const BEGINNING: Start = { cursor: 0, pending: new Set() };

/**
 * Number of rows of `load`, epochs included.
 *
 * @throws {UsageError} as `load` does.
 */
export function countRows(options: LoadOptions): number {
  const checked = LoadOptions.parse(options);
  return itemsOf(checked).length * checked.epochs;
}

/** Images and masks of `load`, or scenes. @throws {UsageError} as `load` does. */
export function countItems(options: LoadOptions): Record<string, number> {
  const checked = LoadOptions.parse(options);
  if (checked.scenes) return { scenes: itemsOf(checked).length };
  const pairs = pairsOf(checked);
  const distinct = (files: readonly (string | undefined)[]): number =>
    new Set(files.filter((file) => file !== undefined)).size;
  return { images: distinct(pairs.map(({ image }) => image)), masks: distinct(pairs.map(({ mask }) => mask)) };
}

/**
 * The files that the rows of `load` are made of: how many, their names and annotations, and what is in them.
 *
 * @throws {UsageError} as `load` does.
 */
export async function loadedFiles(options: LoadOptions): Promise<Record<string, string>> {
  const checked = LoadOptions.parse(options);
  if (checked.scenes) return {};
  const items = pairsOf(checked);
  const files = items.flatMap(({ image, mask }) => [
    image,
    ...(mask === undefined ? [] : [mask.replace(/\.json#[\d,]*$/, '.json')]),
  ]);
  return {
    'pictures, their number': String(items.length),
    'pictures and masks by name': hashOf(items),
    'what is in pictures and masks': await fingerprintOfAll([...new Set(files)]),
  };
}

/** Positions of the items in the order in which an epoch (from 0) takes them. */
export function epochOrder(
  count: number,
  epoch: number,
  { shuffle, seed }: { readonly shuffle: boolean; readonly seed: number },
): Uint32Array {
  return shuffle ? shuffled(count, 'load', seed, epoch) : Uint32Array.from({ length: count }, (_, i) => i);
}

/** What rows are made of; scenes are made up when they are asked for. */
interface Items {
  readonly length: number;
  at(index: number): Item | undefined;
}

function itemsOf(options: Checked): Items {
  const { scenes, limit, seed } = options;
  if (!scenes) return pairsOf(options);
  const { kind, rule, count, offset } = scenes;
  const key = scenes.seed ?? seed;
  return {
    length: Math.min(count, limit ?? count),
    at: (i) => ({
      name: `${kind}-${key}-${offset + i}`,
      scene: { kind, seed: key, index: offset + i, rule },
    }),
  };
}

function pairsOf(options: Checked): readonly Pair[] {
  const { benchmark, images, limit } = options;
  if (benchmark)
    return benchmarkItems({ ...options, benchmark, root: options.root ?? '', images: [images].flat()[0] }).slice(
      0,
      limit,
    );
  const { kept } = chosen(options);
  const items = asDrawn(kept, options).slice(0, limit);
  return options.set === undefined && options.masks === undefined ? items : withMasks(items, options);
}

/** All images of a set or of folders, each with the name of its set. */
function found(options: Checked): readonly Pair[] {
  const { set, images = [], masks, pattern, root = '' } = options;
  const [name, ...others] = namesOfSets(options);
  if (set !== undefined) {
    const items = setItems({ ...options, set, root, images: [images].flat()[0] });
    const first = items.filter(({ image }, i) => options.texts === 'all' || image !== items[i - 1]?.image);
    return first.map((item) => ({ set: name, ...item }));
  }
  const fitting = { images, ...defined({ pattern }) };
  const { all } = masks === undefined ? findImages(fitting) : findPairs({ ...fitting, masks });
  const byFolder = new Map([images].flat().map((folder, i) => [join(folder, '.'), others[i - 1] ?? name]));
  return all.map((item) => ({ ...item, set: byFolder.get(dirname(item.image)) ?? name }));
}

/**
 * The images that `exclude` and `part` leave.
 *
 * @returns also what `exclude` names that is not there.
 */
function chosen(options: Checked): { readonly kept: readonly Pair[]; readonly idle: readonly string[] } {
  const { exclude = [], excludeFile = [], part } = options;
  const all = found(options);
  const names = [...[exclude].flat(), ...[excludeFile].flat().flatMap(listedNames)];
  const { kept, idle } = without(all, names);
  if (kept.length === 0) throw new UsageError(`exclude: expected images that are left; got none of ${all.length}`);
  if (!part) return { kept, idle };
  const place = ({ image }: Pair): number => uniform('load part', part.seed, parse(image).name.normalize());
  const inside = kept.filter((item) => place(item) >= part.from && (place(item) < part.to || part.to === 1));
  if (inside.length === 0)
    throw new UsageError(`part: expected images from ${part.from} to ${part.to}; got none of ${kept.length}`);
  return { kept: inside, idle };
}

/** Names of the sets of `load`: one, or one for each folder of images. */
export function namesOfSets({ name, set, split, scenes, benchmark, images, root }: Checked): [string, ...string[]] {
  const given = [name ?? []].flat() as [string, ...string[]];
  if (given.length > 0) return given;
  if (set === 'jsonl' || set === 'coco') return [basename(root ?? '')];
  if (set !== undefined) return [`${set}/${split ?? 'test'}`];
  if (scenes) return [`scenes/${scenes.kind}`];
  if (benchmark) return [benchmark];
  return folderNames([images ?? []].flat()) as [string, ...string[]];
}

/** What a user should know of the files before a run: what is left out unasked, and names that mean nothing. */
export function loadNotices(options: LoadOptions): string[] {
  const checked = LoadOptions.parse(options);
  const { images, masks, set, scenes, benchmark } = checked;
  if (scenes || benchmark) return [];
  const folders = set === undefined ? [images ?? [], masks ?? []].flat(2) : picturesOf(checked);
  const left = folders.flatMap((folder) => {
    const what = leftOut(folder);
    return what === undefined ? [] : [`${shortPath(folder)}: left out ${what}`];
  });
  const { idle } = chosen(checked);
  const some = idle
    .slice(0, 5)
    .map((one) => shown(one))
    .join(', ');
  return idle.length === 0
    ? left
    : [
        ...left,
        `exclude: ${idle.length} ${idle.length === 1 ? 'name means' : 'names mean'} no image: ${some}${idle.length > 5 ? ', …' : ''}`,
      ];
}

/** Folders of a published set's images and masks, where those are all that lies in them. */
function picturesOf(options: Checked): readonly string[] {
  if (options.set === 'jsonl' || options.set === 'coco') return [];
  const items = found(options).filter(({ mask }) => mask === undefined || !mask.includes('.json'));
  return [...new Set(items.flatMap(({ image, mask }) => [image, ...(mask === undefined ? [] : [mask])]).map(dirname))];
}

/** The items that the protocol takes of a set. */
function asDrawn(items: readonly Pair[], { protocol, set, seed }: Checked): readonly Pair[] {
  if (protocol === 'standard' || set === undefined) return items;
  if (set === 'reasonseg') return legacyReasoning(items, seed);
  return items.some(({ task }) => task === 'referring') ? legacyReferring(items, seed) : items;
}

/** The unchanged items, if the options allow that. */
function withMasks(taken: readonly Pair[], { maskless }: Checked): readonly Pair[] {
  const lacking = taken.filter(({ mask }) => mask === undefined);
  if (lacking.length > 0 && maskless === 'refuse') {
    throw new UsageError(
      `masks: expected one for each of ${taken.length} images; got none for ${lacking.length}, ${lacking[0].image} first; maskless: mark goes on without them`,
    );
  }
  return taken;
}

async function* samples(
  read: ReadImage,
  items: Items,
  options: Checked,
  { cursor, pending }: Start,
): AsyncGenerator<Sample, void, void> {
  const frame = frameOf(options.frame);
  const [set] = namesOfSets(options);
  let faults = 0;
  let at = 0;
  for (let epoch = 0; epoch < options.epochs; epoch++) {
    for (const index of epochOrder(items.length, epoch, options)) {
      const item = items.at(index) as Item;
      const id = `e${epoch}/${index}/${item.name}`;
      if (at++ < cursor && !pending.has(id)) continue;
      const asked = options.instruction === undefined ? { id, frame } : { id, frame, instruction: options.instruction };
      if ('scene' in item) {
        yield { ...drawnSample(asked, item.scene), set };
        continue;
      }
      const { sample, mark } = await storedSample(
        read,
        asked,
        item,
        options.masks !== undefined || options.set !== undefined,
      );
      if (mark?.fault && ++faults > options.tolerate) {
        throw new DataError(
          `${item.image}  row ${id}: expected at most ${options.tolerate} rows that can't be used; got ${faults}, the last for: ${mark.reason}`,
        );
      }
      yield mark ? { ...sample, skipped: { stage: 'load', reason: mark.reason } } : sample;
    }
  }
}

type Asked = Pick<Sample, 'id' | 'frame' | 'instruction'>;

function drawnSample(asked: Asked, key: SceneKey): Sample {
  const { truth, boxes, colors, labels, target } = drawScene(key, asked.frame.width);
  return {
    ...asked,
    image: { scene: key },
    truth: encodeMask(truth, asked.frame),
    task: key.kind,
    original: { width: SCENE_SIDE, height: SCENE_SIDE },
    candidates: {
      boxes,
      names: colors,
      target,
      mask: encodeMask(
        labels.map((label) => (label > 0 ? 1 : 0)),
        asked.frame,
      ),
    },
  };
}

async function storedSample(
  read: ReadImage,
  asked: Asked,
  item: Pair,
  needsMask: boolean,
): Promise<{ sample: Sample; mark?: Mark }> {
  let sample = unread(asked, item);
  try {
    const original = await imageSize(item.image);
    sample = { ...sample, original };
    await read(sample.image, sample.frame);
    if (item.mask === undefined) return needsMask ? { sample, mark: { reason: 'no mask', fault: false } } : { sample };
    const truth = await readTruth(item.mask, original, sample.frame);
    if (differ(truth.original, original)) {
      return {
        sample,
        mark: {
          reason: `mask of another size: expected ${shownSize(original)} as the image; got ${shownSize(truth.original)}`,
          fault: true,
        },
      };
    }
    sample = { ...sample, truth: truth.mask, ...defined({ ignore: truth.ignore }) };
    return maskArea(truth.mask) === 0 && !isNoTarget(item.mask)
      ? { sample, mark: { reason: 'empty mask', fault: true } }
      : { sample };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { sample, mark: { reason: withoutPath(messageOf(error), item.image), fault: true } };
  }
}

function unread(asked: Asked, { image, mask, instruction, question, task = 'foreground', set }: Pair): Sample {
  return {
    ...asked,
    ...defined({ instruction, question }),
    image: { path: image },
    task,
    ...defined({ set }),
    original: { width: 0, height: 0 },
    ...defined({ truthPath: mask }),
  };
}

function differ(a: Size, b: Size): boolean {
  return a.width !== b.width || a.height !== b.height;
}

function shownSize({ width, height }: Size): string {
  return `${width}x${height}`;
}

/** Reasons are counted by text, so they don't name the image; the row does. */
function withoutPath(message: string, path: string): string {
  return message.startsWith(`${path}  `) ? message.slice(path.length + 2) : message;
}
