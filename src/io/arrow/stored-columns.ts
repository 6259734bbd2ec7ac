import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';

import { Manifest } from '../manifest.js';
import { ownColumns, type OwnColumns } from './own-columns.js';
import { salvage } from './salvage.js';

/** The columns of a folder's shards. */
export interface StoredColumns {
  readonly names: ReadonlySet<string>;
  readonly own: OwnColumns;
}

/** The columns of a folder of rows, as the schema of its first shard has them; none where it cannot be read. */
export function storedColumns(folder: string): StoredColumns {
  try {
    const { shards } = Manifest.parse(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')));
    const [first] = shards;
    if (!first) return NONE;
    const { fields } = salvage(schemaBytes(join(folder, first.file))).schema;
    return { names: new Set(fields.map(({ name }) => name)), own: ownColumns(fields) };
  } catch {
    return NONE;
  }
}

const NONE: StoredColumns = { names: new Set(), own: {} };

/** The first message of a stream: a mark, its length, and its bytes. */
function schemaBytes(file: string): Uint8Array {
  const handle = openSync(file, 'r');
  try {
    const prefix = Buffer.alloc(8);
    readSync(handle, prefix, 0, 8, 0);
    const message = Buffer.alloc(Math.min(8 + prefix.readInt32LE(4), fstatSync(handle).size));
    readSync(handle, message, 0, message.length, 0);
    return message;
  } finally {
    closeSync(handle);
  }
}
