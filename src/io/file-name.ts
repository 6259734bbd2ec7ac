import { createHash } from 'node:crypto';

/** Longest name of a file on Linux, macOS and Windows, bytes. */
const LONGEST = 255;

/**
 * `stem` with room for an ending behind it: where the name would be too long for a file system, its beginning and a
 * hash of all of it, so that no two stems share a name.
 *
 * @param ending the longest that is put behind it.
 */
export function fittingStem(stem: string, ending: string): string {
  const room = LONGEST - Buffer.byteLength(ending);
  if (Buffer.byteLength(stem) <= room) return stem;
  const hash = createHash('sha256').update(stem).digest('hex').slice(0, 16);
  let kept = '';
  let left = room - hash.length - 1;
  for (const letter of stem) {
    left -= Buffer.byteLength(letter);
    if (left < 0) break;
    kept += letter;
  }
  return `${kept}-${hash}`;
}
