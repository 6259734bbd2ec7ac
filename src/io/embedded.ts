import { open, stat } from 'node:fs/promises';

import { PICTURE_BYTES } from './raster-file.js';

/** Names a picture that is stored as base64 in a table: `mmbench.tsv#start-end`, bytes of the file. */
export function embeddedReference(
  path: string,
  { start, end }: { readonly start: number; readonly end: number },
): string {
  return `${path}#${start}-${end}`;
}

/**
 * Bytes of a picture that a reference names; undefined for the path of a file.
 *
 * @throws the file system's error, or if there is no such place in the table.
 */
export async function readEmbedded(reference: string): Promise<Buffer | undefined> {
  const [, path, start, end] = /^(.+\.tsv)#(\d+)-(\d+)$/i.exec(reference) ?? [];
  if (path === undefined) return undefined;
  const [first, length] = [Number(start), Number(end) - Number(start)];
  const there = await stat(path);
  // A reference may come from somebody's rows or list.
  if (!there.isFile()) throw new Error('a table that is no file');
  if (length < 0 || length > PICTURE_BYTES || first + length > there.size)
    throw new Error(`a picture from ${start} to ${end}, in a table of ${there.size} bytes`);
  const text = Buffer.alloc(length);
  const file = await open(path);
  try {
    const { bytesRead } = await file.read(text, 0, length, first);
    return Buffer.from(text.toString('latin1', 0, bytesRead), 'base64');
  } finally {
    await file.close();
  }
}
