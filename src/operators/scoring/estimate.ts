/** A mean with its standard error. */
export interface Estimate {
  readonly mean: number;
  /** Standard error of the mean, with n - 1; NaN under two values. */
  readonly error: number;
  /** Number of values, NaN excluded. */
  readonly n: number;
}

/** Accumulates values without keeping them. */
export interface Estimator {
  add(value: number): void;
  estimate(): Estimate;
  /** Its state, to start another with. */
  kept(): Sums;
}

/**
 * How many values, their mean, and the sum of their squared distances from it; null for a non-finite number, as in
 * JSON.
 */
export type Sums = readonly [n: number, mean: number | null, squares: number | null];

/** @see Welford, Note on a method for calculating corrected sums of squares and products, 1962. */
export function estimator(before: Sums = [0, 0, 0]): Estimator {
  let [n, mean, squares] = [before[0], before[1] ?? NaN, before[2] ?? NaN];
  return {
    add(value) {
      if (Number.isNaN(value)) return;
      n++;
      const away = value - mean;
      mean += away / n;
      squares += away * (value - mean);
    },
    estimate: () => ({ mean: n > 0 ? mean : NaN, error: n > 1 ? Math.sqrt(squares / (n - 1) / n) : NaN, n }),
    kept: () => [n, mean, squares],
  };
}

/** The estimate of all values at once. */
export function estimateOf(values: Iterable<number>): Estimate {
  const sum = estimator();
  for (const value of values) sum.add(value);
  return sum.estimate();
}
