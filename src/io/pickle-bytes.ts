/** Reads bytes in order; every method throws a RangeError where there are too few. */
export interface ByteReader {
  /** Position of the next byte. */
  readonly at: number;
  byte(): number;
  /** Little-endian, unsigned. */
  unsigned(bytes: 2 | 4 | 8): number;
  int32(): number;
  /** Big-endian. */
  double(): number;
  bytes(count: number): Uint8Array;
  /** Up to the next line feed, which is taken too; one character a byte. */
  line(): string;
}

/** A reader at the start of `all`. */
export function byteReader(all: Uint8Array): ByteReader {
  const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
  let at = 0;
  /** Moves on, and returns where it was. */
  const take = (count: number): number => {
    if (!(count <= all.length - at)) throw new RangeError(`expected ${count} more bytes; got ${all.length - at}`);
    at += count;
    return at - count;
  };
  return {
    get at() {
      return at;
    },
    byte: () => view.getUint8(take(1)),
    unsigned: (bytes) => {
      const from = take(bytes);
      return bytes === 2
        ? view.getUint16(from, true)
        : bytes === 4
          ? view.getUint32(from, true)
          : Number(view.getBigUint64(from, true));
    },
    int32: () => view.getInt32(take(4), true),
    double: () => view.getFloat64(take(8)),
    bytes: (count) => {
      const from = take(count);
      return all.subarray(from, from + count);
    },
    line: () => {
      const end = all.indexOf(0x0a, at);
      if (end < 0) throw new RangeError(`expected a line feed in the ${all.length - at} bytes that are left; got none`);
      const from = take(end - at + 1);
      return latin1(all.subarray(from, end));
    },
  };
}

/** One character a byte. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
