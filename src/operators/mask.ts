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
  /** Masks of earlier rows that are kept, MB, the least recently asked for going first; 0 keeps none. */
  cacheMegabytes: z.number().min(0).default(64),
});
export type MaskOptions = z.input<typeof MaskOptions>;

/** What `mask` works with. */
export interface MaskContext {
  readonly segmenter: Segmenter;
  readonly readImage: ReadImage;
}

/**
 * Adds `masks`: one a prompt, in order, null where the prompt is null.
 *
 * Equal prompts about one image are cut once. The image is read as the segmenter looks at it, and only if something is
 * to be cut; a row
 * whose image cannot be read is marked. Rows leave in the order they came.
 *
 * @throws {ModelError} what the segmenter rejects with errors the stream, unless it is a DataError.
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
 * One mask a prompt, in order, asking for what is neither said twice nor known already.
 *
 * @param about what the prompts are about; with a prompt's own text it is the key under which a mask is known.
 * @param cut one mask a prompt, in order; called once, or not at all.
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

/** Masks of earlier rows by what was asked. @param limit bytes, estimated: two a character, eight a run, 200 a mask. */
export function recentMasks(limit: number): LruCache<Mask> {
  return new LruCache(limit, ({ counts }, key) => 200 + 2 * key.length + 8 * counts.length);
}
