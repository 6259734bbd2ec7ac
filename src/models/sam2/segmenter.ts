import { createHash } from 'node:crypto';
import { basename, resolve } from 'node:path';

import { z } from 'zod';

import { messageOf, ModelError } from '../../errors.js';
import { emptyMask, encodeMask } from '../../io/mask.js';
import { resize } from '../../io/resize.js';
import type { Image, Mask, Prompt, Size } from '../../records.js';
import type { Segmenter } from '../segmenter.js';
import { readSam2Config, type Sam2Config } from './config.js';
import { recent } from './embeddings.js';
import { openNetwork, type Embedding, type Network } from './network.js';
import { paint, picked } from './outline.js';
import { normalised, square } from './processor.js';
import { clicksOf, promptTokens } from './prompts.js';
import { openWeights, type Weights } from './weights.js';

export const Sam2Options = z.strictObject({
  /** Folder of a checkpoint as transformers stores it. */
  checkpoint: z.string().min(1),
  /** Whether the answer is the best of three masks, by the IoU that each is thought to have; else the single one, unless it is unstable. */
  multimask: z.boolean().default(false),
  /** What the released Seg-R1 does differently, each on its own. */
  legacy: z
    .strictObject({
      /** Stretches the image to the frame before it is stretched to the model's square. */
      frame: z.boolean().default(false),
      /** Shows blue as red and red as blue. */
      channelSwap: z.boolean().default(false),
    })
    .prefault({}),
  /** Embedded images that are kept, MB, the least recently asked for going first; 0 keeps none. */
  cacheMegabytes: z.number().min(0).default(512),
  /** Threads that hold the weights, each a copy; runs go on side by side. */
  workers: z.int().min(1).default(1),
  /** Cores of one run; workers × threads should not exceed the machine's. */
  threads: z.int().min(1).default(2),
});
export type Sam2Options = z.input<typeof Sam2Options>;

/**
 * Opens SAM 2.1 as a segmenter of still images.
 *
 * An image is embedded once, whatever is asked about it, and its embedding kept for later calls; all objects of a call are
 * decoded together.
 *
 * @throws {ModelError} if the checkpoint is of another kind, incomplete, or its session cannot be opened.
 * @see SAM 2, arXiv:2408.00714
 */
export async function openSam2(options: Sam2Options): Promise<Segmenter> {
  const { checkpoint, multimask, legacy, cacheMegabytes, workers, threads } = Sam2Options.parse(options);
  const config = await readSam2Config(checkpoint);
  const weights = await openWeights(checkpoint, config);
  const switches = [multimask && 'multimask', legacy.frame && 'frame', legacy.channelSwap && 'channelSwap'].filter((on) => on !== false);
  const name = ['sam2', basename(resolve(checkpoint)), ...switches].join('/');
  const failed = (doing: string) => (error: unknown): never => {
    throw new ModelError(`${name}  ${doing}: expected it to work; got ${messageOf(error)}`);
  };
  const network = await openNetwork(weights, config, { workers, threads }).catch(failed('open'));
  const known = recent<Embedding>(cacheMegabytes * 2 ** 20, network.embeddingBytes);
  const running = new Set<Promise<unknown>>();
  let released: Promise<void> | undefined;

  const embed = (image: Image, frame: Size): Promise<Embedding> => {
    const seen = legacy.frame ? resize(image, frame) : image;
    return known.get(keyOf(seen), () => network.embed(normalised(square(seen, config), config, legacy.channelSwap)));
  };
  const segment = (image: Image, prompts: readonly Prompt[], frame: Size): Promise<Mask[]> => masks({ weights, config, network, multimask }, () => embed(image, frame), prompts, frame);
  return {
    name,
    looksAt: legacy.frame ? 'frame' : 'original',
    segment(image, prompts, frame) {
      if (released) return Promise.reject(new ModelError(`${name}  segment: expected an open segmenter; got one that is released`));
      const work = segment(image, prompts, frame).catch(failed('segment'));
      running.add(work);
      return work.finally(() => running.delete(work));
    },
    release: () =>
      (released ??= (async () => {
        await Promise.allSettled(running);
        await network.release();
      })()),
  };
}

interface Parts {
  readonly weights: Weights;
  readonly config: Sam2Config;
  readonly network: Network;
  readonly multimask: boolean;
}

/** One mask a prompt, the union over its objects; without anything to ask about the image it is not looked at. */
async function masks({ weights, config, network, multimask }: Parts, embed: () => Promise<Embedding>, prompts: readonly Prompt[], frame: Size): Promise<Mask[]> {
  const asked = prompts.map((prompt) => prompt.objects.map((object) => clicksOf(object, prompt.frame, config.size)).filter((clicks) => clicks.length > 0));
  const tokens = asked.flat().map((clicks) => ({ tokens: promptTokens(weights, config, clicks) }));
  const answers = tokens.length > 0 ? await network.decode(await embed(), tokens) : [];
  return asked.map((objects) => {
    const own = answers.splice(0, objects.length);
    if (own.length === 0) return emptyMask(frame);
    const bits = new Uint8Array(frame.width * frame.height);
    for (const answer of own) {
      const cells = answer.logits.length / 4;
      const mask = picked(answer, config.decoder.stability, multimask);
      paint(answer.logits.subarray(mask * cells, (mask + 1) * cells), frame, bits);
    }
    return encodeMask(bits, frame);
  });
}

function keyOf({ width, height, data }: Image): string {
  return `${width}×${height} ${createHash('sha1').update(data).digest('base64')}`;
}
