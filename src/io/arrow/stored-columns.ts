import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';

import type { Schema } from 'apache-arrow';

import { DataError, messageOf } from '../../errors.js';
import { Manifest } from '../manifest.js';
import { isOfToday } from './layout.js';
import { ownColumns, type OwnColumns } from './own-columns.js';
import { salvage } from './salvage.js';

/** The columns of a folder's shards. */
export interface StoredColumns {
  readonly names: ReadonlySet<string>;
  readonly own: OwnColumns;
}

/** The columns of a folder of rows, as the schema of its first shard has them; none where it cannot be read. */
export function storedColumns(folder: string): StoredColumns {
  const [first] = shardsIn(folder);
  return first === undefined ? NONE : columnsIn(first);
}

/** The columns of a shard; none where it cannot be read. */
export function columnsIn(shard: string): StoredColumns {
  const fields = schemaOf(shard)?.fields ?? [];
  return { names: new Set(fields.map(({ name }) => name)), own: ownColumns(fields) };
}

/**
 * Whether a shard has the columns of this program's version; true where damage hides them, which its reader reports.
 *
 * @throws {DataError} if this program does not read them.
 */
export function hasColumnsOfToday(shard: string): boolean {
  const schema = schemaOf(shard);
  try {
    return schema === undefined || isOfToday(schema);
  } catch (error) {
    throw new DataError(`${shard}  ${messageOf(error)}`, { cause: error });
  }
}

/** @throws {DataError} if a shard in a folder has columns that this program does not read. */
export function checkVersions(folder: string): void {
  for (const shard of shardsIn(folder)) hasColumnsOfToday(shard);
}

/** Sealed shards in a folder, then the one that was being written; none where there is no manifest. */
function shardsIn(folder: string): string[] {
  try {
    const { shards, open } = Manifest.parse(JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')));
    return [...shards.map(({ file }) => file), ...(open === null ? [] : [`${open}.partial`])].map((file) =>
      join(folder, file),
    );
  } catch {
    return [];
  }
}

/** Undefined where it cannot be read. */
function schemaOf(shard: string): Schema | undefined {
  try {
    return salvage(schemaBytes(shard)).schema;
  } catch {
    return undefined;
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
