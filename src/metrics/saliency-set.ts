import { meanOf, type Saliency, type SaliencyCurve, type SaliencyValue } from './saliency.js';

/**
 * The metrics of a set of images: curves are averaged threshold by threshold, and what is called mean or max is that of
 * the averaged curve; so a maximum has one threshold for all images. Every other value is the mean over the images.
 *
 * @param images at least one; one whose value is NaN is excluded from that value's mean.
 * @throws {RangeError} if there is no image.
 */
export function overSet(images: readonly Saliency[]): Saliency {
  if (images.length === 0) throw new RangeError('saliency of a set: expected at least 1 image; got 0');

  const values = { ...images[0].values };
  for (const name of Object.keys(values) as SaliencyValue[]) {
    const scored = images.map((image) => image.values[name]).filter((value) => !Number.isNaN(value));
    values[name] = meanOf(scored);
  }
  const curves = { ...images[0].curves };
  for (const name of Object.keys(curves) as SaliencyCurve[]) {
    curves[name] = curves[name].map((_, i) => meanOf(images.map((image) => image.curves[name][i])));
    values[`${name}/mean`] = meanOf(curves[name]);
    values[`${name}/max`] = Math.max(...curves[name]);
  }
  return { values, curves };
}
