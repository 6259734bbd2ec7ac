import { z } from 'zod';

import { LruCache } from '../lru-cache.js';
import type { Image, ImageSource, Size } from '../records.js';
import { readImageFile } from './image.js';
import { resize } from './resize.js';
import { drawScene, SCENE_SIDE } from './scenes.js';

export const ReaderOptions = z.strictObject({
  /** Cache of pixels, MB; 0 keeps none. */
  cacheMegabytes: z.number().min(0).default(256),
});
export type ReaderOptions = z.input<typeof ReaderOptions>;

/**
 * Pixels of a file or a scene, stretched to `frame` where one is given as Pillow stretches them, with a cache.
 * Concurrent requests for the same image share one reading. Images are shared: don't write to them, nor transfer them
 * to a thread.
 *
 * @returns a function that rejects with DataError where a file can't be decoded.
 */
export function imageReader(options: ReaderOptions = {}): (source: ImageSource, frame?: Size) => Promise<Image> {
  const budget = ReaderOptions.parse(options).cacheMegabytes * 1e6;
  const kept = new LruCache<Image>(budget, ({ data }) => data.length);
  const reading = new Map<string, Promise<Image>>();

  async function fresh(key: string, source: ImageSource, frame?: Size): Promise<Image> {
    try {
      const image = await readPixels(source, frame);
      kept.set(key, image);
      return image;
    } finally {
      reading.delete(key);
    }
  }

  return async (source, frame) => {
    const key = JSON.stringify([...named(source), frame?.width, frame?.height]);
    const image = kept.get(key);
    if (image) return image;
    const running = reading.get(key) ?? fresh(key, source, frame);
    reading.set(key, running);
    return running;
  };
}

/** Cache key of pixels: for a scene everything but its rule. */
function named(source: ImageSource): (string | number)[] {
  return 'path' in source ? [source.path] : [source.scene.kind, source.scene.seed, source.scene.index];
}

async function readPixels(source: ImageSource, frame?: Size): Promise<Image> {
  if ('path' in source) {
    const image = await readImageFile(source.path);
    return frame ? resize(image, frame, 'bilinear', 'pillow') : image;
  }
  const { image } = drawScene(source.scene, frame ? Math.max(frame.width, frame.height) : SCENE_SIDE);
  return frame ? resize(image, frame, 'bilinear', 'pillow') : image;
}
