import type { OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { LruCache } from '../lru-cache.js';
import type { ReadImage, Segmenter } from '../models/segmenter.js';
import type { Mask, Masked, Prompt, Prompted } from '../records.js';
import { orMarked, pixelsOf } from './faults.js';
import { inOrder } from '../streams/in-order.js';

export const MaskOptions = z.strictObject({
  /** Rows segmented at once. */
  inflight: z.int().min(1).default(2),
  /** Cache of masks of earlier rows, MB, the least recently used dropped first; 0 keeps none. */
  cacheMegabytes: z.number().min(0).default(64),
});
export type MaskOptions = z.input<typeof MaskOptions>;

/** What `mask` works with. */
export interface MaskContext {
  readonly segmenter: Segmenter;
  readonly readImage: ReadImage;
}

/**
 * Adds `masks`: one for each prompt, in order, null where the prompt is null. Equal prompts on one image are segmented
 * once. The image is read at the size that the segmenter wants, and only if there is something to segment; a row whose
 * image cannot be read is marked. Rows leave in the order they came.
 *
 * @throws {ModelError} if the segmenter rejects with anything but a DataError; the stream errors.
 */
export function mask<T extends Prompted>(
  { segmenter, readImage }: MaskContext,
  options: MaskOptions = {},
): OperatorFunction<T, T & Masked> {
  const { inflight, cacheMegabytes } = MaskOptions.parse(options);
  const cache = recentMasks(cacheMegabytes * 2 ** 20);

  const segmented = (row: T): Promise<T & Masked> =>
    orMarked('mask', row, async () => {
      const about = JSON.stringify([segmenter.name, row.image, row.frame]);
      const cut = async (prompts: readonly Prompt[]): Promise<Mask[]> =>
        segmenter.segment({ image: await pixelsOf(readImage, row, segmenter), prompts, frame: row.frame });
      return { ...row, masks: await masksOf(row.prompts, about, cut, cache) };
    });
  return inOrder(segmented, inflight);
}

/**
 * One mask for each prompt, in order; repeated and cached prompts are not segmented again.
 *
 * @param about identifies the image; with a prompt's text it is the cache key of a mask.
 * @param cut returns one mask for each prompt, in order; called at most once.
 */
export async function masksOf(
  prompts: readonly (Prompt | null)[],
  about: string,
  cut: (prompts: readonly Prompt[]) => Promise<readonly Mask[]>,
  known: LruCache<Mask> = recentMasks(0),
): Promise<(Mask | null)[]> {
  const keys = prompts.map((prompt) => prompt && about + JSON.stringify(prompt));
  const masks = new Map<string, Mask>();
  const asked = new Map<string, Prompt>();
  keys.forEach((key, i) => {
    const prompt = prompts[i];
    if (key === null || !prompt) return;
    const mask = known.get(key);
    if (mask) masks.set(key, mask);
    else asked.set(key, prompt);
  });
  const fresh = asked.size > 0 ? await cut([...asked.values()]) : [];
  [...asked.keys()].forEach((key, i) => {
    masks.set(key, fresh[i]);
    known.set(key, fresh[i]);
  });
  return keys.map((key) => (key === null ? null : (masks.get(key) ?? null)));
}

/**
 * Cache of masks by prompt.
 *
 * @param limit bytes, estimated: two a character, eight a run, 200 a mask.
 */
export function recentMasks(limit: number): LruCache<Mask> {
  return new LruCache(limit, ({ counts }, key) => 200 + 2 * key.length + 8 * counts.length);
}
