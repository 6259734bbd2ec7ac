/**
 * float32 of bfloat16 bits, exact.
 *
 * @param values takes the result; the bits may be its own second half.
 */
export function fromBf16(bits: Uint16Array, values: Float32Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) words[i] = bits[i] << 16;
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

/**
 * float32 of IEEE half-precision bits, exact.
 *
 * @param values takes the result; the bits may be its own second half.
 */
export function fromF16(bits: Uint16Array, values: Float32Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    const sign = bits[i] & 0x8000;
    const size = bits[i] & 0x7fff;
    if (size < 0x400) values[i] = (sign ? -size : size) * 2 ** -24;
    else words[i] = (sign << 16) | (size < 0x7c00 ? (size << 13) + 0x38000000 : 0x7f800000 | (size << 13));
  }
}

/** IEEE half-precision bits nearest to each value, halves to even; from 65520 on infinity, NaN stays NaN. */
export function toF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const size = words[i] & 0x7fffffff;
    bits[i] = ((words[i] >>> 16) & 0x8000) | halfOf(size, values[i]);
  }
  return bits;
}

/** What a double can no longer hold fractions beside. */
const WHOLE = 2 ** 52;

function halfOf(size: number, value: number): number {
  if (size > 0x7f800000) return 0x7e00;
  if (size >= 0x477ff000) return 0x7c00;
  // Below 2 ** -14 halves are multiples of 2 ** -24.
  if (size < 0x38800000) return Math.abs(value) * 2 ** 24 + WHOLE - WHOLE;
  return (size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13;
}
