/**
 * Arrays on their way to and from threads. A structured clone keeps only 32 bits of the offset and the length of a view,
 * in bytes: of an array of more than 4 GiB, or one that lies so far into its buffer, another part would arrive. Buffers
 * themselves arrive whole.
 */

/** A flat array as its buffer, and where in it: for messages. */
export interface Span {
  readonly buffer: ArrayBufferLike;
  /** Bytes. */
  readonly byteOffset: number;
  /** Elements. */
  readonly length: number;
}

export function spanOf({ buffer, byteOffset, length }: Float32Array | Uint16Array): Span {
  return { buffer, byteOffset, length };
}

/** The array again; on shared memory the same one. */
export function arrayOf({ buffer, byteOffset, length }: Span): Float32Array {
  return new Float32Array(buffer, byteOffset, length);
}

/** Halves again, as their bits. */
export function halvesOf({ buffer, byteOffset, length }: Span): Uint16Array {
  return new Uint16Array(buffer, byteOffset, length);
}
