/** Numbers that no weight may be: infinities and NaN. */

/** Place of the first infinity or NaN in float32 values; -1 without one. */
export function firstNonFinite(values: Float32Array): number {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) if ((words[i] & 0x7f800000) === 0x7f800000) return i;
  return -1;
}

/** The same of bits of half-precision numbers. @param exponent its bits: 0x7f80 of bfloat16, 0x7c00 of float16. */
export function firstNonFiniteHalf(bits: Uint16Array, exponent: 0x7f80 | 0x7c00): number {
  for (let i = 0; i < bits.length; i++) if ((bits[i] & exponent) === exponent) return i;
  return -1;
}
