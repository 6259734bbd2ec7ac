import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** How fast a folder's disk is, in MB/s. */
export interface DiskSpeed {
  /** The folder that was measured. */
  readonly folder: string;
  /** To the disk itself, including a sync. */
  readonly write: number;
  /** Read back at once, so usually from the system's cache. */
  readonly read: number;
}

/** Random enough that no file system compresses it. */
const BLOCK = Uint8Array.from({ length: 1 << 22 }, (_, i) => Math.imul(i ^ (i >>> 7), 2654435761) >>> 24);

/**
 * Writes a file of 64 MiB, or as much as can be written in a second, and reads it back; the file is removed.
 *
 * @param folder if missing, the nearest folder above it is used.
 * @throws if nothing can be written there.
 */
export function diskSpeed(folder: string, blocks = 16): DiskSpeed {
  const place = nearest(resolve(folder));
  const own = mkdtempSync(join(place, '.segr1-disk-'));
  try {
    const file = join(own, 'speed');
    const began = performance.now();
    const out = openSync(file, 'wx');
    let written = 0;
    while (written < blocks * BLOCK.length && performance.now() - began < 1000) written += writeSync(out, BLOCK);
    fsyncSync(out);
    closeSync(out);
    const write = rate(written, began);
    return { folder: place, write, read: readBack(file) };
  } finally {
    rmSync(own, { recursive: true, force: true });
  }
}

function readBack(file: string): number {
  const began = performance.now();
  const source = openSync(file, 'r');
  const block = new Uint8Array(BLOCK.length);
  let [bytes, got] = [0, 0];
  do {
    got = readSync(source, block);
    bytes += got;
  } while (got > 0);
  closeSync(source);
  return rate(bytes, began);
}

const rate = (bytes: number, began: number): number => bytes / 1e3 / Math.max(performance.now() - began, 1e-3);

function nearest(folder: string): string {
  return (existsSync(folder) && statSync(folder).isDirectory()) || dirname(folder) === folder
    ? folder
    : nearest(dirname(folder));
}
