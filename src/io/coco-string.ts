import { DataError, shown } from '../errors.js';
import type { Mask, Size } from '../records.js';

/**
 * COCO's compressed run lengths, as pycocotools writes them.
 *
 * Each run is written as its difference from the run two before (from the fourth run on), five bits a character.
 */
export function toCocoString(mask: Mask): string {
  const { counts } = mask;
  let text = '';
  for (let i = 0; i < counts.length; i++) {
    let rest = i > 2 ? counts[i] - counts[i - 2] : counts[i];
    let more = true;
    while (more) {
      const low = rest & 0x1f;
      rest >>= 5;
      more = rest !== (low & 0x10 ? -1 : 0);
      text += String.fromCharCode((more ? low | 0x20 : low) + 48);
    }
  }
  return text;
}

/**
 * Reads what `toCocoString` writes.
 *
 * @throws {DataError} if the text is not of this kind, or its runs don't fill `size`.
 */
export function fromCocoString(text: string, size: Size): Mask {
  const counts: number[] = [];
  for (let at = 0; at < text.length;) {
    let run = 0;
    let shift = 0;
    let code;
    do {
      code = text.charCodeAt(at++) - 48;
      if (!(code >= 0 && code < 64) || shift > 30)
        throw new DataError(`mask  counts: expected COCO run lengths; got ${shown(text)}`);
      run |= (code & 0x1f) << shift;
      shift += 5;
    } while (code & 0x20);
    if (code & 0x10 && shift < 32) run |= -1 << shift;
    counts.push(counts.length > 2 ? run + counts[counts.length - 2] : run);
  }

  const pixels = counts.reduce((sum, run) => sum + run, 0);
  if (pixels !== size.width * size.height || counts.some((run) => run < 0)) {
    throw new DataError(
      `mask  counts: expected runs that fill ${size.width}x${size.height}; got ${pixels} pixels in ${counts.length} runs`,
    );
  }
  return { width: size.width, height: size.height, counts };
}
