import { closeSync, openSync, readSync } from 'node:fs';

const CHUNK = 1 << 23;

/**
 * The libraries that a 64-bit little-endian ELF file names as needed, in its order.
 *
 * @returns undefined if it is no such file or has no dynamic section.
 */
export function neededBy(file: string): readonly string[] | undefined {
  const at = openSync(file, 'r');
  try {
    const head = bytes(at, 0, 64);
    if (head.length < 64 || head.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') return undefined;
    const size = head.readUInt16LE(54);
    const headers = bytes(at, Number(head.readBigUInt64LE(32)), size * head.readUInt16LE(56));
    const segments = Array.from({ length: Math.floor(headers.length / size) }, (_, i) =>
      segmentOf(headers.subarray(i * size)),
    );
    const dynamic = segments.find(({ type }) => type === 2);
    if (!dynamic) return undefined;
    const entries = dynamicEntries(bytes(at, dynamic.offset, dynamic.length));
    const address = entries.find(([tag]) => tag === 5)?.[1] ?? 0;
    const loaded = segments.find(
      ({ type, start, length }) => type === 1 && address >= start && address < start + length,
    );
    if (!loaded) return undefined;
    const names = bytes(at, address - loaded.start + loaded.offset, entries.find(([tag]) => tag === 10)?.[1] ?? 0);
    return entries
      .filter(([tag]) => tag === 1)
      .map(([, offset]) => names.toString('latin1', offset, names.indexOf(0, offset)));
  } finally {
    closeSync(at);
  }
}

/**
 * The text after the first `mark` in a file that matches `pattern`; reads the file once, 8 MiB at a time.
 *
 * @param pattern begins with `^`; its first group is returned, of at most 60 characters.
 * @returns undefined if no `mark` is followed by a match.
 */
export function textAfter(file: string, mark: string, pattern: RegExp): string | undefined {
  const reach = mark.length + 60;
  const at = openSync(file, 'r');
  try {
    for (let offset = 0; ; offset += CHUNK) {
      const chunk = bytes(at, offset, CHUNK + reach);
      for (let found = chunk.indexOf(mark); found >= 0 && found < CHUNK; found = chunk.indexOf(mark, found + 1)) {
        const [, text] = pattern.exec(chunk.toString('latin1', found + mark.length, found + reach)) ?? [];
        if (text !== undefined) return text;
      }
      if (chunk.length < CHUNK) return undefined;
    }
  } finally {
    closeSync(at);
  }
}

function bytes(file: number, position: number, length: number): Buffer {
  const buffer = Buffer.allocUnsafe(length);
  return buffer.subarray(0, readSync(file, buffer, 0, length, position));
}

function segmentOf(header: Buffer): { type: number; offset: number; start: number; length: number } {
  return {
    type: header.readUInt32LE(0),
    offset: Number(header.readBigUInt64LE(8)),
    start: Number(header.readBigUInt64LE(16)),
    length: Number(header.readBigUInt64LE(32)),
  };
}

function dynamicEntries(section: Buffer): (readonly [number, number])[] {
  return Array.from(
    { length: Math.floor(section.length / 16) },
    (_, i) => [Number(section.readBigUInt64LE(i * 16)), Number(section.readBigUInt64LE(i * 16 + 8))] as const,
  );
}
