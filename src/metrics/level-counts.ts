/** A grey prediction beside its truth, as counts by level: all that thresholded metrics need of the two. */
export interface LevelCounts {
  /** [256]: pixels of the object at each grey level. */
  readonly object: Uint32Array;
  /** [256]: pixels of the background at each grey level. */
  readonly background: Uint32Array;
  /** Pixels of the ground truth that are 1. */
  readonly objectPixels: number;
  readonly pixels: number;
}

/**
 * Counts the pixels of object and background by their predicted grey level, in one pass.
 *
 * @param predicted [pixels], grey levels.
 * @param truth [pixels], 0 or 1.
 * @throws {RangeError} if the lengths differ.
 */
export function countLevels(predicted: Uint8Array, truth: Uint8Array): LevelCounts {
  if (predicted.length !== truth.length)
    throw new RangeError(`level counts: expected maps of one length; got ${predicted.length} and ${truth.length}`);

  const both = new Uint32Array(512);
  for (let i = 0; i < truth.length; i++) both[(truth[i] << 8) | predicted[i]]++;
  const object = both.subarray(256);
  return {
    object,
    background: both.subarray(0, 256),
    objectPixels: object.reduce((sum, n) => sum + n, 0),
    pixels: truth.length,
  };
}

/**
 * What each grey level stands for in [0, 1]: the lowest level present is 0 and the highest 1; a single level keeps its
 * share of 255. Divided in PySODMetrics' order, on which the last bit depends.
 *
 * @returns [256]; levels below or above those present lie outside [0, 1] and belong to no pixel.
 */
export function confidences({ object, background }: LevelCounts): Float64Array {
  const present = (level: number): boolean => object[level] + background[level] > 0;
  let low = 0;
  let high = 255;
  while (low < 255 && !present(low)) low++;
  while (high > 0 && !present(high)) high--;

  const [floor, spread] = low < high ? [low / 255, high / 255 - low / 255] : [0, 1];
  return Float64Array.from({ length: 256 }, (_, level) => (level / 255 - floor) / spread);
}

/** Confidences times 255, cut off as a cast to uint8 does; levels that are not present are held within 0 and 255. */
export function quantised(confidence: Float64Array): Uint8Array {
  return Uint8Array.from(confidence, (p) => Math.min(255, Math.max(0, Math.trunc(p * 255))));
}
