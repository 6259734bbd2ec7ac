/** Values by their number, mean and spread about it: two of these are put together without the values. */
export interface Moments {
  readonly count: number;
  /** 0 of nothing. */
  readonly mean: number;
  /** Sum of squared distances from the mean; exactly 0 where all values are one. */
  readonly spread: number;
}

export const NOTHING: Moments = { count: 0, mean: 0, spread: 0 };

/** @param times [values]: how often each value occurs. */
export function momentsOf(values: Float64Array, times: Uint32Array): Moments {
  const first =
    values[
      Math.max(
        0,
        times.findIndex((n) => n > 0),
      )
    ];
  let count = 0;
  let total = 0;
  for (let k = 0; k < times.length; k++) {
    if (times[k] === 0) continue;
    count += times[k];
    total += times[k] * (values[k] - first);
  }
  if (count === 0) return NOTHING;

  const mean = first + total / count;
  let spread = 0;
  for (let k = 0; k < times.length; k++) if (times[k] > 0) spread += times[k] * (values[k] - mean) ** 2;
  return { count, mean, spread };
}

/** @see Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances, 1979. */
export function together(a: Moments, b: Moments): Moments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const apart = b.mean - a.mean;
  return {
    count,
    mean: a.mean + (apart * b.count) / count,
    spread: a.spread + b.spread + (apart * apart * a.count * b.count) / count,
  };
}

/** With n - 1; 0 for a single value, which does not vary. */
export function variance({ count, spread }: Moments): number {
  return count > 1 ? spread / (count - 1) : 0;
}
