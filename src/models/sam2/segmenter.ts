import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { basename, resolve } from 'node:path';

import { z } from 'zod';

import { DataError, messageOf, ModelError, UsageError } from '../../errors.js';
import { firstNonFinite } from '../../io/finite.js';
import { emptyMask, encodeMask } from '../../io/mask.js';
import { resize } from '../../io/resize.js';
import type { Image, Prompt, Size } from '../../records.js';
import { deviceOf, deviceShape, Runtime, Threads, Workers, workersOn } from '../device.js';
import type { Inspected, Judged, Segmenter, SegmentRequest } from '../segmenter.js';
import { openCheckpoint } from './checkpoint.js';
import { recent } from './embeddings.js';
import { findExport, openExport } from './export.js';
import type { Chosen, Cores, Sam2Model } from './model.js';
import { paint, stabilityOf } from './outline.js';
import { normalised, square } from './processor.js';
import { clicksOf } from './prompts.js';

/** Offset from 0 for the stability of a mask, as in SAM 2.1's own checkpoints. */
const MARGIN = 0.05;

export const Sam2Options = z.strictObject({
  /** Folder of a checkpoint in transformers' format, or of its ONNX export. */
  checkpoint: z.string().min(1),
  /**
   * Whether to take the best of three masks by predicted IoU always, or only if the single one is unstable. An export
   * has only the three.
   */
  multimask: z.boolean().default(false),
  /** Differences of the released Seg-R1, one by one. */
  legacy: z
    .strictObject({
      /** First stretches the image to the frame, then to the model's square. */
      frame: z.boolean().default(false),
      /** Shows blue as red and red as blue. */
      channelSwap: z.boolean().default(false),
    })
    .prefault({}),
  /** Cache of image embeddings, MB, the least recently used dropped first; 0 keeps none. */
  cacheMegabytes: z.number().min(0).default(512),
  /** Default `onnx`, the only one that opens an export. */
  runtime: Runtime.optional(),
  ...deviceShape,
  /** Threads that run side by side, each with a copy of the weights. */
  workers: Workers.default(1),
  /** Cores of one run; workers × threads should not exceed the machine's. */
  threads: Threads.default(2),
});
export type Sam2Options = z.input<typeof Sam2Options>;

/**
 * Opens SAM 2.1 as a segmenter of still images: a checkpoint in transformers' format, or its ONNX export. An image is
 * embedded once for all prompts, and its embedding cached for later calls; all objects of a call are decoded together.
 *
 * @throws {ModelError} if the checkpoint is of another kind, incomplete, or its session cannot be opened.
 * @see SAM 2, arXiv:2408.00714
 */
export async function openSam2(options: Sam2Options, notice?: (text: string) => void): Promise<Segmenter> {
  const { checkpoint, multimask, legacy, cacheMegabytes, workers, threads, precision, runtime, ...where } =
    Sam2Options.parse(options);
  const device = deviceOf(where);
  const model = await openModel(
    checkpoint,
    multimask,
    {
      workers: workersOn(device, workers),
      threads,
      precision,
      device,
      ...(runtime && { runtime }),
    },
    notice,
  );
  const switches = [legacy.frame && 'frame', legacy.channelSwap && 'channelSwap'].filter((on) => on !== false);
  const name = [nameOf(checkpoint), ...model.traits, ...switches].join('/');
  const known = recent<unknown>(
    cacheMegabytes * 2 ** 20,
    model.embeddingBytes,
    (embedding) => released ?? model.drop(embedding),
  );
  const running = new Set<Promise<unknown>>();
  let released: Promise<void> | undefined;

  const embedded = (image: Image, frame: Size): Embedded => {
    const seen = legacy.frame ? resize(image, frame) : image;
    return (use) =>
      known.use(
        keyOf(seen),
        () => model.embed(normalised(square(seen, model.pixels), model.pixels, legacy.channelSwap)),
        use,
      );
  };
  const inspect = ({ image, prompts, frame }: SegmentRequest): Promise<Inspected[]> => {
    if (released)
      return Promise.reject(new ModelError(`${name}  segment: expected an open segmenter; got one that is released`));
    const work = inspected(model, embedded(image, frame), prompts, frame).catch(failed(name, 'segment'));
    running.add(work);
    return work.finally(() => running.delete(work));
  };
  return {
    name,
    looksAt: legacy.frame ? 'frame' : 'original',
    inspect,
    segment: async (request) => (await inspect(request)).map(({ mask }) => mask),
    release: () =>
      (released ??= (async () => {
        await Promise.allSettled(running);
        await model.release();
      })()),
  };
}

/** By the folder's files: weights are preferred to an export, since they also give the single mask. */
async function openModel(
  dir: string,
  multimask: boolean,
  cores: Cores,
  notice?: (text: string) => void,
): Promise<Sam2Model> {
  const weights = existsSync(dir) && readdirSync(dir).some((file) => file.endsWith('.safetensors'));
  const exported = weights ? undefined : findExport(dir);
  if (exported && cores.precision !== 'float32')
    throw new UsageError(
      `${nameOf(dir)}  precision: expected float32, for an export computes as it was written; got ${cores.precision}`,
    );
  return await (exported ? openExport(exported, cores) : openCheckpoint(dir, multimask, cores, notice)).catch(
    failed(nameOf(dir), 'open'),
  );
}

const nameOf = (checkpoint: string): string => `sam2/${basename(resolve(checkpoint))}`;

const failed =
  (name: string, doing: string) =>
  (error: unknown): never => {
    if (error instanceof ModelError || error instanceof DataError) throw error;
    throw new ModelError(`${name}  ${doing}: expected it to work; got ${messageOf(error)}`);
  };

/** Uses an image's embedding, which is made or looked up when it is called. */
type Embedded = <R>(use: (embedding: unknown) => Promise<R>) => Promise<R>;

/** One mask for each prompt, the union over its objects; without valid objects the image is not embedded. */
async function inspected(
  model: Sam2Model,
  embedded: Embedded,
  prompts: readonly Prompt[],
  frame: Size,
): Promise<Inspected[]> {
  const asked = prompts.map((prompt) =>
    prompt.objects.map((object) => clicksOf(object, prompt.frame, model.pixels.size)),
  );
  const clicks = asked.flat().filter(({ length }) => length > 0);
  const answers = clicks.length > 0 ? await embedded((embedding) => model.answer(embedding, clicks)) : [];
  for (const { logits, iou } of answers)
    if (firstNonFinite(logits) >= 0 || !Number.isFinite(iou))
      throw new DataError('image  segment: expected finite logits; got others; way out: precision: float32');
  return asked.map((objects) => {
    const own = objects.map(({ length }) => (length > 0 ? (answers.shift() as Chosen) : null));
    if (own.every((answer) => answer === null)) return { mask: emptyMask(frame), objects: own };
    const bits = new Uint8Array(frame.width * frame.height);
    for (const answer of own) if (answer) paint(answer.logits, frame, bits);
    return { mask: encodeMask(bits, frame), objects: own.map((answer) => answer && judged(answer)) };
  });
}

function judged({ logits, output, iou }: Chosen): Judged {
  return { output, iou, stability: stabilityOf(logits, MARGIN) };
}

function keyOf({ width, height, data }: Image): string {
  return `${width}×${height} ${createHash('sha1').update(data).digest('base64')}`;
}
