/** float32 of bfloat16 bits, exact. */
export function fromBf16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
  return new Float32Array(words.buffer);
}

/** bfloat16 bits nearest to each value, halves to even; NaN stays NaN. */
export function toBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = words[i];
    const nan = (word & 0x7fffffff) > 0x7f800000;
    bits[i] = nan ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/** float32 of IEEE half-precision bits, exact. */
export function fromF16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const fraction = bits[i] & 0x3ff;
    const exponent = (bits[i] >>> 10) & 0x1f;
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity) : (1 + fraction / 1024) * 2 ** (exponent - 15);
    values[i] = bits[i] & 0x8000 ? -size : size;
  }
  return values;
}

/** Half-precision bits nearest to each value, halves to even; what is too large becomes infinite, NaN stays NaN. */
export function toF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word, i) => ((word >>> 16) & 0x8000) | sizeBits(word & 0x7fffffff, Math.abs(values[i])));
}

function sizeBits(word: number, size: number): number {
  if (word > 0x7f800000) return 0x7e00;
  if (size >= 65536) return 0x7c00;
  if (size >= 2 ** -14) return (word - 0x38000000 + 0xfff + ((word >>> 13) & 1)) >>> 13;
  const steps = Math.floor(size * 2 ** 24);
  const rest = size * 2 ** 24 - steps;
  return steps + (rest > 0.5 || (rest === 0.5 && steps % 2 === 1) ? 1 : 0);
}
