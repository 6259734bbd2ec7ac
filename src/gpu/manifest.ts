import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

const FileRecord = z.object({ bytes: z.int().min(0), sha256: z.string() });

/** The record of what `segr1 gpu install` wrote into a folder: its `manifest.json`. */
export const Manifest = z.object({
  format: z.literal(1),
  /** The version of onnxruntime-node that the provider belongs to, and the commit that both were built from. */
  onnxruntime: z.string(),
  commit: z.string(),
  /** When the newest part of it was written, ISO 8601. */
  date: z.string(),
  /** What was unpacked, each with its files by their paths in the folder. */
  packages: z.array(z.object({ name: z.string(), version: z.string(), files: z.record(z.string(), FileRecord) })),
});
export type Manifest = z.infer<typeof Manifest>;
export type FileRecord = z.infer<typeof FileRecord>;

const NAME = 'manifest.json';

/** The manifest of a folder; undefined where there is none that can be read. */
export function readManifest(folder: string): Manifest | undefined {
  try {
    return Manifest.parse(JSON.parse(readFileSync(join(folder, NAME), 'utf8')));
  } catch {
    return undefined;
  }
}

/** Replaces the manifest of a folder: readers see either the old or the new one. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const partial = join(folder, `${NAME}.${process.pid}.partial`);
  try {
    await writeFile(partial, `${JSON.stringify(manifest, null, 2)}\n`);
    await rename(partial, join(folder, NAME));
  } finally {
    await rm(partial, { force: true });
  }
}

/**
 * Whether `file` has the size that the folder's manifest says; false where the manifest doesn't know it. Reads no
 * contents.
 */
export function isListed(manifest: Manifest | undefined, folder: string, file: string): boolean {
  const known = manifest?.packages.map(({ files }) => files[file]).find((record) => record !== undefined);
  return known !== undefined && statSync(join(folder, file), { throwIfNoEntry: false })?.size === known.bytes;
}

/**
 * The fault of the first of `files` in `folder` that differs from its record; undefined if none does. Reads them
 * completely.
 */
export async function firstFault(
  folder: string,
  files: Readonly<Record<string, FileRecord>>,
): Promise<string | undefined> {
  for (const [name, { bytes, sha256 }] of Object.entries(files)) {
    const size = statSync(join(folder, name), { throwIfNoEntry: false })?.size;
    if (size !== bytes)
      return `${name}: expected ${bytes} bytes; got ${size === undefined ? 'no such file' : `${size}`}`;
    const found = await sha256Of(join(folder, name));
    if (found !== sha256) return `${name}: expected SHA-256 ${sha256}; got ${found}`;
  }
  return undefined;
}

/** SHA-256 of a file, in hexadecimal digits. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
