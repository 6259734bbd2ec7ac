/** Whether bytes are a TIFF, by their first four. */
export function isTiff(bytes: Uint8Array): boolean {
  return /^(II[*+]\0|MM\0[*+])$/.test(Buffer.from(bytes.subarray(0, 4)).toString('latin1'));
}

const [COMPRESSION, COLOURS, YCBCR] = [259, 262, 6];
/** JPEG, old and new: its decoder turns YCbCr into RGB. */
const JPEG = [6, 7];

/**
 * Refuses YCbCr outside of JPEG, which the decoder would hand over as if it were RGB.
 *
 * @throws {Error} with what is there.
 */
export function refuseRawYcbcr(bytes: Uint8Array): void {
  if (tagOf(bytes, COLOURS) === YCBCR && !JPEG.includes(tagOf(bytes, COMPRESSION) ?? 1))
    throw new Error('YCbCr colours that are not compressed by JPEG; way out: store it as RGB');
}

/** A tag of the first picture, of 16 bits; undefined if it isn't there. */
function tagOf(bytes: Uint8Array, tag: number): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = bytes[0] === 0x49;
  const big = view.getUint16(2, little) === 43;
  const long = (at: number): number => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little));
  try {
    const start = long(big ? 8 : 4);
    const count = big ? long(start) : view.getUint16(start, little);
    for (let i = 0, at = start + (big ? 8 : 2); i < count; i++, at += big ? 20 : 12)
      if (view.getUint16(at, little) === tag) return view.getUint16(at + (big ? 12 : 8), little);
  } catch (error) {
    // A file that ends before its tags do; the decoder says so.
    if (!(error instanceof RangeError)) throw error;
  }
  return undefined;
}
