import type { Size } from '../src/records.js';

/** A drawn bitmap: rows parted by spaces, `#` is 1; bits [height × width], row by row. */
export function ascii(drawing: string): Size & { bits: Uint8Array } {
  const rows = drawing.trim().split(/\s+/);
  const width = rows[0]?.length ?? 0;
  if (rows.some((row) => row.length !== width))
    throw new RangeError(`drawing: expected rows of one length; got ${JSON.stringify(drawing)}`);
  return { width, height: rows.length, bits: Uint8Array.from(rows.join(''), (c) => (c === '#' ? 1 : 0)) };
}
