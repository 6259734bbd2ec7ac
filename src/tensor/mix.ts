/** Moves values a share of the way to others, in place; 1 replaces them. */
export function mixInto(values: Float32Array, others: Float32Array, share: number): void {
  for (let i = 0; i < values.length; i++) values[i] = share * others[i] + (1 - share) * values[i];
}
