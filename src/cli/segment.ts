import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';

import cliProgress from 'cli-progress';
import type { Argv, CommandModule } from 'yargs';

import { defined } from '../defined.js';
import { DataError, messageOf, shortPath, UsageError } from '../errors.js';
import { leftOut, pictures } from '../io/dataset.js';
import { encodeMaskPng } from '../io/mask.js';
import { frameFault } from '../models/frame.js';
import type { Segmenter } from '../models/segmenter.js';
import { inLine } from '../printable.js';
import { once, wholeNumber } from './arguments.js';
import { objectsOf } from './asked.js';
import { folderOf, given, openAsker, openNamed, squareOf, type Asker } from './asking.js';
import { refuseReadOnly } from './free-folder.js';
import { onInterrupt } from './interrupt.js';
import { placed, refuseTaken, withoutResults, writeFiles, type Files, type Placed } from './segment-files.js';
import { drawn, jsonOf, segmented, type Segmented } from './segmented.js';
import { print, tell } from './print.js';

interface Arguments {
  readonly images: readonly string[];
  readonly segmenter: unknown;
  readonly box: unknown;
  readonly point: unknown;
  readonly label: unknown;
  readonly policy: unknown;
  readonly adapter: unknown;
  readonly prompt: unknown;
  readonly frame: unknown;
  readonly out: unknown;
  readonly overwrite: unknown;
  readonly json: unknown;
}

/** `segr1 segment IMAGE…`: masks of single images or folders, from boxes and points or from what a policy writes. */
export const segmentCommand: CommandModule<object, Arguments> = {
  command: 'segment <images..>',
  describe: 'cut objects out of images: by boxes and points, or by what a policy writes',
  builder: (parser: Argv) =>
    parser
      .positional('images', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'images, and folders of images',
      })
      .option('segmenter', {
        type: 'string',
        requiresArg: true,
        default: 'grabcut',
        describe: 'grabcut, or folder of a SAM 2.1 checkpoint or its export',
      })
      .option('box', { type: 'string', requiresArg: true, describe: 'x1,y1,x2,y2 around an object; may be repeated' })
      .option('point', { type: 'string', requiresArg: true, describe: 'x,y; may be repeated' })
      .option('label', {
        type: 'string',
        requiresArg: true,
        describe: 'of the point in the same place: 1 object, 0 background; all 1 by default',
      })
      .option('policy', {
        type: 'string',
        requiresArg: true,
        describe: 'folder of a policy that writes boxes and points',
      })
      .option('adapter', { type: 'string', requiresArg: true, describe: 'folder of an adapter on top of the policy' })
      .option('prompt', {
        type: 'string',
        requiresArg: true,
        describe: 'what the policy looks for; the primary objects by default',
      })
      .option('frame', {
        type: 'string',
        requiresArg: true,
        describe:
          'side of the square that boxes and points are pixels of, px; by default the image as it is; for a policy the frame that it was trained in, else 768',
      })
      .option('out', {
        type: 'string',
        requiresArg: true,
        describe: 'folder for masks, overlays and JSON; - writes the mask of one image to standard output',
      })
      .option('overwrite', {
        type: 'boolean',
        describe:
          'replace files that are in the place of a result and no earlier result for the same image; never an image',
      })
      .option('json', {
        type: 'boolean',
        describe: 'print JSON lines and nothing else; no files without --out',
      }),
  handler: async (words) => {
    process.exitCode = await ran(await planned(words));
  },
};

/** A checked command line. */
interface Plan {
  readonly images: readonly (Pick<Placed, 'path'> & Partial<Placed>)[];
  readonly overwrite: boolean;
  readonly show: 'json' | 'png' | 'lines';
  readonly openAsker: () => Promise<Asker>;
  readonly openSegmenter: () => Promise<Segmenter>;
}

async function planned(words: Arguments): Promise<Plan> {
  const [segmenter = 'grabcut', out] = [once(words.segmenter, 'segmenter'), once(words.out, 'out')];
  const images = (await Promise.all(words.images.map(imagesOf))).flat();
  if (images.length > 1 && out === undefined && words.json !== true)
    throw new UsageError(`--out: expected a folder for ${images.length} images; got nothing`);
  if (out === '-' && (images.length > 1 || words.json === true))
    throw new UsageError(
      `--out: expected a folder for ${words.json === true ? 'files beside --json' : `${images.length} images`}; got -, which is for the mask of one`,
    );
  const openAsker = askerOf(words);
  if (segmenter !== 'grabcut') folderOf(segmenter, 'segmenter', 'grabcut or the folder of a SAM 2.1 checkpoint');
  const folder = out === '-' || (out === undefined && words.json === true) ? undefined : resolve(out ?? '.');
  const overwrite = words.overwrite === true;
  if (overwrite && folder === undefined)
    throw new UsageError('--overwrite: expected it with a folder to write to; got none');
  if (folder !== undefined) refuseReadOnly(folder, 'out');
  const results = folder === undefined ? undefined : placed(images, folder);
  if (folder !== undefined && results) await refuseTaken(results, folder, overwrite);
  return {
    images: results ?? images.map((path) => ({ path })),
    overwrite,
    show: words.json === true ? 'json' : out === '-' ? 'png' : 'lines',
    openAsker,
    openSegmenter: () => openNamed(segmenter),
  };
}

async function imagesOf(path: string): Promise<string[]> {
  const kind = statSync(path, { throwIfNoEntry: false });
  if (!kind)
    throw new UsageError(`${path || '""'}  segment: expected an image or a folder of images; got nothing there`);
  if (!kind.isDirectory()) return [path];
  const left = leftOut(path);
  if (left !== undefined) tell(`${shortPath(path)}  segment: left out ${left}`);
  const images = await withoutResults(pictures('images', path).map((name) => join(path, name)));
  if (images.length === 0)
    throw new UsageError(`${path}  segment: expected a folder of images; got one with earlier results alone`);
  return images;
}

/** @returns a function that opens the source of prompts, after its options were checked together. */
function askerOf(words: Arguments): () => Promise<Asker> {
  const [dir, adapter, text, side] = [
    once(words.policy, 'policy'),
    once(words.adapter, 'adapter'),
    once(words.prompt, 'prompt'),
    once(words.frame, 'frame'),
  ];
  const frame = side === undefined ? undefined : wholeNumber(side, 'frame');
  const [boxes, points, labels] = [words.box, words.point, words.label].map((some) =>
    some === undefined ? [] : [some].flat().map(String),
  ) as [string[], string[], string[]];
  const objects = objectsOf({ boxes, points, labels });
  if (dir === undefined) {
    const alone = [
      ['adapter', adapter],
      ['prompt', text],
    ].find(([, value]) => value !== undefined);
    if (alone) throw new UsageError(`--${alone[0]}: expected it with --policy, which it is for; got it alone`);
    if (objects.length === 0)
      throw new UsageError('segment: expected --box or --point, or a --policy that writes them; got none');
    return async () => given(objects, frame);
  }
  if (objects.length > 0) throw new UsageError('segment: expected --policy, or --box and --point; got both');
  folderOf(dir, 'policy', 'the folder of a checkpoint', 'config.json');
  if (adapter !== undefined) folderOf(adapter, 'adapter', 'the folder of an adapter', 'adapter_config.json');
  return async () => {
    const asked = squareOf(frame);
    const fault = asked && (await frameFault(asked, dir, adapter));
    if (fault) tell(`--frame: ${fault}; way out: no --frame`);
    return openAsker({ dir, ...defined({ adapter, text, frame: asked }) });
  };
}

/** @returns the exit code: 1 if an image could not be used, 130 if interrupted. */
async function ran({ images, overwrite, show, openAsker: openAsking, openSegmenter }: Plan): Promise<number> {
  const interrupt = new AbortController();
  const listening = onInterrupt(() => interrupt.abort());
  const opened: { release(): Promise<void> }[] = [];
  const bar = show === 'lines' && images.length > 1 && process.stderr.isTTY ? progressBar(images.length) : undefined;
  let failed = 0;
  try {
    const segmenter = await openSegmenter();
    opened.push(segmenter);
    const asker = await openAsking();
    opened.push(asker);
    for (const { path, files } of images) {
      if (interrupt.signal.aborted) break;
      failed += await told(path, async () => {
        const result = await segmented(path, asker, segmenter);
        const json = jsonOf(result, {
          segmenter: segmenter.name,
          ...defined({ policy: asker.name }),
        });
        if (files) await writeFiles({ path, files }, { ...(await drawn(result)), json }, overwrite);
        if (show === 'json') print(JSON.stringify(json));
        if (show === 'png') process.stdout.write(await encodeMaskPng(result.mask));
        if (show === 'lines' && !bar) print(inLine(lineOf(result, files)));
      });
      bar?.increment();
    }
  } finally {
    bar?.stop();
    for (const one of opened.toReversed()) await one.release();
    listening();
  }
  if (failed > 0) tell(`${failed} of ${images.length} ${images.length === 1 ? 'image' : 'images'} could not be used`);
  return interrupt.signal.aborted ? 130 : failed > 0 ? 1 : 0;
}

/**
 * Reports unusable images and continues.
 *
 * @returns their number.
 */
async function told(image: string, work: () => Promise<void>): Promise<0 | 1> {
  try {
    await work();
    return 0;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    const message = messageOf(error);
    tell(inLine(message.startsWith(image) ? message : `${shortPath(image)}  ${message}`));
    return 1;
  }
}

function progressBar(total: number): cliProgress.SingleBar {
  const bar = new cliProgress.SingleBar(
    { stream: process.stderr, format: '{bar} {percentage}%  {value}/{total} images  left {eta_formatted}' },
    cliProgress.Presets.shades_classic,
  );
  bar.start(total, 0);
  return bar;
}

function lineOf(
  { image, pixels: { width, height }, prompt, mask, objects, area }: Segmented,
  files: Files | undefined,
): string {
  const share = `${((100 * area) / (mask.width * mask.height)).toFixed(1)}% of ${width}×${height}`;
  const ious = objects.flatMap(({ iou }) => (iou === undefined ? [] : [iou.toFixed(3)]));
  return [
    shortPath(image),
    prompt ? share : 'no prompt in what the policy wrote',
    ...(ious.length > 0 ? [`IoU ${ious.join(', ')} expected`] : []),
    ...(files ? [shortPath(files.mask)] : []),
  ].join('  ');
}
