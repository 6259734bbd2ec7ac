/**
 * The same GIF with the colours under the transparent pixels of its first picture, which decoders leave out; any other
 * bytes as they are.
 *
 * @see https://www.w3.org/Graphics/GIF/spec-gif89a.txt, section 23
 */
export function showTransparent(bytes: Uint8Array): Uint8Array {
  if (Buffer.from(bytes.subarray(0, 3)).toString('latin1') !== 'GIF') return bytes;
  let at = 13 + tableLength(bytes[10] ?? 0);
  while (bytes[at] === EXTENSION) {
    const flags = at + 3;
    if (bytes[at + 1] === GRAPHIC_CONTROL && ((bytes[flags] ?? 0) & TRANSPARENT) !== 0) {
      const shown = Uint8Array.from(bytes);
      shown[flags] &= ~TRANSPARENT;
      return shown;
    }
    at += 2;
    while ((bytes[at] ?? 0) > 0) at += bytes[at] + 1;
    at++;
  }
  return bytes;
}

const [EXTENSION, GRAPHIC_CONTROL, TRANSPARENT] = [0x21, 0xf9, 1];

/** Bytes of a colour table. */
function tableLength(packed: number): number {
  return (packed & 0x80) === 0 ? 0 : 3 * 2 ** ((packed & 7) + 1);
}
