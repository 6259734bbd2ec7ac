import { crc32, deflateSync } from 'node:zlib';

import type { Size } from '../../src/records.js';

/**
 * A PNG byte by byte, for kinds that no encoder here writes and for headers that lie.
 *
 * @param rows packed samples, row by row without filter bytes; fewer rows than `size` claims may be given.
 */
export function rawPng(size: Size, kind: 'gray' | 'rgb', depth: 1 | 8, rows: Uint8Array): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size.width, 0);
  header.writeUInt32BE(size.height, 4);
  header.set([depth, kind === 'gray' ? 0 : 2], 8);
  const stride = Math.ceil((size.width * depth * (kind === 'gray' ? 1 : 3)) / 8);
  const filtered = Array.from({ length: Math.floor(rows.length / stride) }, (_, y) =>
    Buffer.from([0, ...rows.subarray(y * stride, (y + 1) * stride)]),
  );
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(filtered))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(kind: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, check]);
}
