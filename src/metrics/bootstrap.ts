import { draws } from '../random.js';

/** A number of a set, with its 95 % bootstrap interval. */
export interface Interval {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Numbers by name of a set in which item i counts `weights[i]` times. */
export type Measure = (weights: Float64Array) => Readonly<Record<string, number>>;

const RESAMPLES = 2000;

/**
 * Percentile bootstrap: as many units as there are, drawn with replacement, 2,000 times; between 2.5 and 97.5 %.
 *
 * @param units positions of the items that are drawn together: all expressions of one image say less than as many
 * images.
 * @param seed the same seed draws the same, so that intervals are the same in every run.
 * @returns by name; NaN where the measure is NaN in every draw.
 * @throws {RangeError} if there is no unit.
 * @see Efron & Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
 */
export function bootstrap(
  units: readonly (readonly number[])[],
  measure: Measure,
  seed: number,
): Record<string, Interval> {
  if (units.length === 0) throw new RangeError('bootstrap: expected at least 1 unit; got 0');

  const weights = new Float64Array(units.reduce((sum, unit) => sum + unit.length, 0)).fill(1);
  const values = measure(weights);
  const drawn = new Map(Object.keys(values).map((name) => [name, new Float64Array(RESAMPLES)]));
  const random = draws('bootstrap', seed);
  for (let i = 0; i < RESAMPLES; i++) {
    weights.fill(0);
    for (let n = 0; n < units.length; n++) for (const item of units[random.integer(0, units.length)]) weights[item]++;
    for (const [name, value] of Object.entries(measure(weights))) (drawn.get(name) as Float64Array)[i] = value;
  }
  return Object.fromEntries(
    [...drawn].map(([name, all]) => {
      const sorted = all.filter((value) => !Number.isNaN(value)).sort();
      return [name, { value: values[name], low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) }];
    }),
  );
}

/** Positions of equal keys, in the order in which the keys come first. */
export function unitsOf(keys: readonly string[]): number[][] {
  const units = new Map<string, number[]>();
  for (const [i, key] of keys.entries()) {
    const unit = units.get(key);
    if (unit) unit.push(i);
    else units.set(key, [i]);
  }
  return [...units.values()];
}

/**
 * The value under which a share of ascending values lies, linear between neighbours; NaN of nothing.
 *
 * @param share in [0, 1].
 */
export function quantile(sorted: Float64Array, share: number): number {
  if (sorted.length === 0) return NaN;
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)];
  return below + (place % 1) * (sorted[Math.ceil(place)] - below);
}
