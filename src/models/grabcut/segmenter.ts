import { z } from 'zod';

import { messageOf, ModelError } from '../../errors.js';
import type { Mask } from '../../records.js';
import { workers } from '../../workers.js';
import type { CutJob, CutSettings } from './worker.js';
import type { Segmenter } from '../segmenter.js';
import { Workers } from '../device.js';

export const GrabCutOptions = z.strictObject({
  /** Side of the square that is segmented, px; masks come back at frame size. */
  size: z.int().min(8).max(256).default(64),
  /** Rounds of colour models and cut; more than one gains little. */
  iterations: z.int().min(1).default(1),
  /** Radius of a click's disc, as a fraction of the side. */
  radius: z.number().min(0).max(0.5).default(0.02),
  /** Worker threads, each with one image's prompts at a time. */
  threads: Workers.default(1),
});
export type GrabCutOptions = z.input<typeof GrabCutOptions>;

/**
 * A segmenter without weights: OpenCV's grabCut, seeded with where the object may be (box) and is or is not (points).
 * An object without a box needs a foreground point and is searched in the whole frame except its border. The same
 * prompt gives the same mask in any order and on any thread.
 *
 * @throws {ModelError} if OpenCV cannot be loaded.
 * @see Rother et al., GrabCut, 2004.
 */
export async function openGrabCut(options: GrabCutOptions = {}): Promise<Segmenter> {
  const { size, iterations, radius, threads } = GrabCutOptions.parse(options);
  const name = `grabcut/${size}/${iterations}/${radius}`;
  const settings: CutSettings = { size, iterations, radius };
  const pool = workers<CutJob, Mask[]>(new URL('./worker.js', import.meta.url), threads, settings);

  // A job without prompts ends once OpenCV is loaded.
  const size1 = { width: 1, height: 1 };
  await pool
    .everywhere({ image: { ...size1, data: new Uint8Array(3) }, prompts: [], frame: size1 })
    .catch(async (error: unknown) => {
      await pool.release();
      throw new ModelError(`${name}  open: expected OpenCV to load; got ${messageOf(error)}`);
    });

  return {
    name,
    segment: (request) =>
      pool.call(request).catch((error: unknown) => {
        throw new ModelError(`${name}  segment: expected masks; got ${messageOf(error)}`);
      }),
    release: () => pool.release(),
  };
}
