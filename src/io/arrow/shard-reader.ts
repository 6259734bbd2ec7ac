import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { RecordBatch } from 'apache-arrow';

import { DataError, messageOf } from '../../errors.js';
import type { Row } from '../../records.js';
import { readManifest, type Shard } from '../manifest.js';
import { checkColumns, fromBatch, type Choice } from './batch.js';
import type { StoredRow } from './columns.js';
import { batches } from './shard-batches.js';
import { salvage } from './salvage.js';
import { columnsIn, hasColumnsOfToday, storedColumns } from './stored-columns.js';
import { sha256Of } from '../sealed-folder.js';

/** Which rows are read, and what of them. `Own` is the type of custom columns, such as `{ difficulty?: number }`. */
export interface Reading<Own = unknown> {
  /**
   * Which rows, by their columns; only those that it looks at are decoded for it, a batch at a time, before any row is
   * made.
   */
  readonly where?: (row: Readonly<StoredRow & Own>) => boolean;
}

/** Reads some columns only. */
export interface Projection<Own, Key extends keyof (StoredRow & Own)> extends Reading<Own> {
  /** Keys of a row, those that nobody asked for are not decoded; also the ones that follow from others. */
  readonly columns: readonly Key[];
}

/**
 * The rows of a run's sealed shards, in order; a batch of them is in memory at a time. What version 1 of the columns
 * wrote is read as well.
 *
 * @param from a run's folder, that of its rows, or one shard; a `.partial` one gives its whole batches.
 * @throws {UsageError} for a column that the rows don't have.
 * @throws {DataError} if there is no manifest, a shard differs from it or is cut, or its columns are of a newer
 * version; rows before the damage come first.
 */
export function readRows<Own = unknown>(
  from: string,
  reading?: Reading<Own>,
): AsyncGenerator<Row & Own, void, undefined>;
export function readRows<Own, Key extends keyof (StoredRow & Own)>(
  from: string,
  reading: Projection<Own, Key>,
): AsyncGenerator<Pick<StoredRow & Own, Key>, void, undefined>;
export async function* readRows(from: string, choice: Choice = {}): AsyncGenerator<Row, void, undefined> {
  if (isShard(from)) return yield* oneShard(from, choice);
  const folder = rowsIn(from);
  const { shards } = await readManifest(folder);
  checkColumns(choice.columns ?? [], Object.keys(storedColumns(folder).own));
  for (const shard of shards) yield* shardRows(folder, shard, choice);
}

/** The folder of the rows: `rows` in that of a run, or the given one. */
export function rowsIn(folder: string): string {
  const rows = join(folder, 'rows');
  return existsSync(join(folder, 'manifest.json')) || !existsSync(rows) ? folder : rows;
}

/**
 * The rows of an interrupted run: those of sealed shards, then the readable ones of the shard that was being written.
 *
 * @throws {DataError} as `readRows` does.
 */
export async function* recoverRows(folder: string): AsyncGenerator<Row, void, undefined> {
  yield* readRows(folder);
  const { open: unsealed } = await readManifest(rowsIn(folder));
  if (unsealed !== null) yield* unsealedRows(rowsIn(folder), unsealed);
}

function isShard(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The rows of a shard by itself; checked against the manifest beside it if that names it. */
async function* oneShard(path: string, choice: Choice): AsyncGenerator<Row, void, undefined> {
  checkColumns(choice.columns ?? [], Object.keys(columnsIn(path).own));
  const [folder, file] = [dirname(path), basename(path)];
  if (path.endsWith('.partial')) return yield* unsealedRows(folder, file.slice(0, -'.partial'.length), choice);
  const known = existsSync(join(folder, 'manifest.json')) ? (await readManifest(folder)).shards : [];
  const shard = known.find((one) => one.file === file);
  if (shard) return yield* shardRows(folder, shard, choice);
  for await (const batch of batches(path, createHash('sha256'))) yield* rowsOf(batch, path, choice);
  // A stream that was cut between two batches looks whole but for this.
  if (!(await endsWhole(path))) throw new DataError(`${path}  a shard: expected a mark at its end; got none`);
}

async function endsWhole(path: string): Promise<boolean> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const end = Buffer.alloc(Math.min(size, 8));
    await handle.read(end, 0, end.length, size - end.length);
    return end.equals(Buffer.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0));
  } finally {
    await handle.close();
  }
}

function rowsOf(batch: RecordBatch, path: string, choice: Choice): Row[] {
  try {
    return fromBatch(batch, choice);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new DataError(`${path}  ${error.message}`, { cause: error });
  }
}

/**
 * The first `keep` rows of an earlier run.
 *
 * @returns the sealed shards that lie whole before the cut, and the rows between them and the cut. Shards of an earlier
 * version do not stay: their rows are among those to be written again.
 * @throws {DataError} if a sealed shard with rows to keep is damaged, or there are fewer rows; the remaining rows
 * report damage when they are read.
 */
export async function rowsSoFar(folder: string, keep: number): Promise<{ shards: Shard[]; rest: AsyncIterable<Row> }> {
  if (keep === 0) return { shards: [], rest: upTo(0, recoverRows(folder), folder) };
  const { shards, open: unsealed } = await readManifest(folder);
  let whole = 0;
  let left = keep;
  const stays = ({ rows, file }: Shard): boolean => rows <= left && hasColumnsOfToday(join(folder, file));
  while (whole < shards.length && stays(shards[whole])) left -= shards[whole++].rows;
  // Also the one with the cut in it, of which the end is never read.
  for (const shard of shards.slice(0, left > 0 ? whole + 1 : whole)) await checkShard(folder, shard);
  const behind = async function* (): AsyncGenerator<Row> {
    for (const shard of shards.slice(whole)) yield* shardRows(folder, shard);
    if (unsealed !== null) yield* unsealedRows(folder, unsealed);
  };
  return { shards: shards.slice(0, whole), rest: upTo(left, behind(), folder) };
}

/**
 * Whether the first `keep` rows of an earlier run can be read.
 *
 * @throws {DataError} as `rowsSoFar` does, also for damage of the remaining rows.
 */
export async function checkRows(folder: string, keep: number): Promise<void> {
  const { rest } = await rowsSoFar(folder, keep);
  for await (const _ of rest);
}

async function* upTo(count: number, rows: AsyncIterable<Row>, folder: string): AsyncGenerator<Row> {
  let seen = 0;
  if (count === 0) return;
  for await (const row of rows) {
    yield row;
    if (++seen === count) return;
  }
  throw new DataError(`${folder}  rows to keep: expected ${count} more behind the whole shards; got ${seen}`);
}

type Wrong = (what: string, expected: number | string, got: number | string) => DataError;

const wrongIn =
  (path: string): Wrong =>
  (what, expected, got) =>
    new DataError(`${path}  ${what}: expected ${expected} as the manifest has it; got ${got}`);

async function checkSize(path: string, { bytes }: Shard): Promise<void> {
  const wrong = wrongIn(path);
  const { size } = await stat(path).catch((error: unknown) => {
    throw wrong('a shard', `${bytes} bytes`, messageOf(error));
  });
  if (size !== bytes) throw wrong('bytes', bytes, size);
}

async function checkShard(folder: string, shard: Shard): Promise<void> {
  const path = join(folder, shard.file);
  await checkSize(path, shard);
  const sha256 = await sha256Of(path);
  if (sha256 !== shard.sha256) throw wrongIn(path)('SHA-256', shard.sha256, sha256);
}

async function* shardRows(folder: string, shard: Shard, choice: Choice = {}): AsyncGenerator<Row, void, undefined> {
  const path = join(folder, shard.file);
  const wrong = wrongIn(path);
  await checkSize(path, shard);
  const hash = createHash('sha256');
  let rows = 0;
  for await (const batch of batches(path, hash)) {
    rows += batch.numRows;
    yield* rowsOf(batch, path, choice);
  }
  const sha256 = hash.digest('hex');
  if (sha256 !== shard.sha256) throw wrong('SHA-256', shard.sha256, sha256);
  if (rows !== shard.rows) throw wrong('rows', shard.rows, rows);
}

/** Whole batches of a shard that was not sealed, or sealed just before the manifest was updated. */
async function* unsealedRows(folder: string, file: string, choice: Choice = {}): AsyncGenerator<Row, void, undefined> {
  const path = join(folder, file);
  const bytes = (await bytesIn(`${path}.partial`)) ?? (await bytesIn(path)) ?? new Uint8Array(0);
  if (bytes.length === 0) return;
  for (const batch of salvage(bytes).batches) yield* rowsOf(batch, path, choice);
}

async function bytesIn(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
