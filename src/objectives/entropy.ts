/**
 * The tokens of a step that the policy was least sure of: 1 where the entropy is at least the quantile 1 − `share` of
 * all, else 0.
 *
 * @param entropies [completion][token], nats; NaN is a token that doesn't count, and gets 0.
 * @see Beyond the 80/20 Rule, arXiv:2506.01939
 */
export function mostUncertain(entropies: readonly (readonly number[])[], share: number): number[][] {
  const known = entropies.flat().filter((entropy) => !Number.isNaN(entropy));
  const least = quantile(known, 1 - share);
  return entropies.map((row) => row.map((entropy) => (entropy >= least ? 1 : 0)));
}

/** Between two values it lies on the line that joins them; NaN of none. */
function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  // Both in float32, as torch.quantile has them: a whole rank must not be rounded past its own value.
  const rank = Math.fround(Math.fround(q) * (sorted.length - 1));
  const [low, high] = [sorted[Math.floor(rank)] ?? NaN, sorted[Math.ceil(rank)] ?? NaN];
  return Math.fround(low + (high - low) * (rank - Math.floor(rank)));
}
