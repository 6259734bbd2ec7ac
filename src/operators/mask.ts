import type { OperatorFunction } from 'rxjs';
import { z } from 'zod';

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
  segmenter: Segmenter,
  readImage: ReadImage,
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
  known: RecentMasks = recentMasks(0),
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

/** Masks by key, as many as fit; the least recently asked for leaves first. */
export interface RecentMasks {
  get(key: string): Mask | undefined;
  set(key: string, mask: Mask): void;
}

/** @param limit bytes, estimated: two a character, eight a run, 200 for what holds them. */
export function recentMasks(limit: number): RecentMasks {
  const masks = new Map<string, Mask>();
  let held = 0;
  const bytes = (key: string, mask: Mask): number => 200 + 2 * key.length + 8 * mask.counts.length;
  const drop = (key: string): Mask | undefined => {
    const mask = masks.get(key);
    if (mask && masks.delete(key)) held -= bytes(key, mask);
    return mask;
  };
  const set = (key: string, mask: Mask): void => {
    drop(key);
    masks.set(key, mask);
    held += bytes(key, mask);
    for (const oldest of masks.keys()) {
      if (held <= limit) return;
      drop(oldest);
    }
  };
  const get = (key: string): Mask | undefined => {
    const mask = drop(key);
    if (mask) set(key, mask);
    return mask;
  };
  return { get, set };
}
