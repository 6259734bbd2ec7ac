import { open } from 'node:fs/promises';

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
 * @throws the file system's error.
 */
export async function readEmbedded(reference: string): Promise<Buffer | undefined> {
  const [, path, start, end] = /^(.+\.tsv)#(\d+)-(\d+)$/i.exec(reference) ?? [];
  if (path === undefined) return undefined;
  const text = Buffer.alloc(Number(end) - Number(start));
  const file = await open(path);
  try {
    const { bytesRead } = await file.read(text, 0, text.length, Number(start));
    return Buffer.from(text.toString('latin1', 0, bytesRead), 'base64');
  } finally {
    await file.close();
  }
}
