import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataType, Schema } from 'apache-arrow';
import { z } from 'zod';

import { DataError, messageOf, UsageError } from '../../errors.js';
import type { Row } from '../../records.js';
import { describeForHub, isPicture, nameForHub } from './hub-layout.js';
import { pictureBytes } from '../picture-bytes.js';
import { syncFolder, writeManifest, type Shard } from '../manifest.js';
import { toBatch, toCells, type Cells } from './rows.js';
import { createShard, encodeBatch, type ShardFile } from './shard-file.js';
import { rowsSoFar } from './shard-reader.js';

export { checkRows, readRows, recoverRows, type Projection, type Reading } from './shard-reader.js';
export { salvage, type Salvaged } from './salvage.js';

export const WriteOptions = z.strictObject({
  /** Rows in a record batch; this many wait in memory. */
  rowsPerBatch: z.int().min(1).max(100).default(100),
  /** What rows have of their images: the `path`, which is the default, or the `bytes` of the file too. */
  images: z.enum(['path', 'bytes']).optional(),
  /** A shard is sealed before it exceeds this size; a megabyte is 10^6 bytes. */
  shardMegabytes: z.number().positive().default(256),
});
export type WriteOptions = z.input<typeof WriteOptions>;

/** A sink of rows. */
export interface RowSink {
  /** Takes a row; resolves once the sink owns it. */
  append(row: Row): Promise<void>;
  /** Waits for earlier rows, syncs them to disk, and closes everything; safe to call again. */
  close(): Promise<void>;
}

/** A folder of Arrow shards that takes rows. After a failed write every later call fails. */
export interface Shards extends RowSink {
  /**
   * Waits until every row is safely on disk.
   *
   * @returns the number of rows, kept ones included.
   */
  flush(): Promise<number>;
}

/**
 * Opens a folder for rows, and makes it where there is none.
 *
 * @param schema from `rowSchema`, with custom columns; a row with a key that has no column is refused. Where it has
 * `images`, their files are read.
 * @param keep rows of an earlier run to keep, from the first on; the others are discarded. A folder with rows is
 * refused without it.
 * @throws {UsageError} if there are rows and no `keep`.
 * @throws {DataError} if fewer rows are there.
 */
export async function openShards(
  folder: string,
  schema: Schema,
  options: WriteOptions = {},
  keep?: number,
): Promise<Shards> {
  const { rowsPerBatch, shardMegabytes } = WriteOptions.parse(options);
  await mkdir(folder, { recursive: true });
  const names = await readdir(folder);
  const found = names.filter(isOurs);
  const taken = found[0] ?? names.find((name) => HUB_FILES.includes(name));
  if (taken !== undefined && keep === undefined) {
    throw new UsageError(
      `${folder}  rows: expected a folder without any; got ${taken}; resume that run or name another folder`,
    );
  }
  const writer = new ShardWriter(
    folder,
    schema,
    rowsPerBatch,
    shardMegabytes * 1e6,
    1 + Math.max(-1, ...found.map(numberOf)),
  );
  await writer.begin(keep ?? 0);
  return writer;
}

const isOurs = (name: string): boolean =>
  /^(shard-\d+\.arrow(\.partial)?|data-\d+-of-\d+\.arrow|manifest\.json)$/.test(name);
/** Written beside the rows once they are complete. */
const HUB_FILES: readonly string[] = ['state.json', 'dataset_info.json'];
const numberOf = (name: string): number => Number(/^shard-(\d+)/.exec(name)?.[1] ?? -1);

/** Bytes of pictures that wait for their batch. */
const MOST_PICTURES = 2 ** 26;

class ShardWriter implements Shards {
  readonly #folder: string;
  readonly #schema: Schema;
  readonly #rowsPerBatch: number;
  readonly #limit: number;
  #next: number;
  #sealed: Shard[] = [];
  readonly #pictures: boolean;
  #waiting: Cells[] = [];
  /** Bytes of pictures among them. */
  #heavy = 0;
  #open: ShardFile | undefined;
  #begun = false;
  #last: Promise<unknown> = Promise.resolve();
  #closing: Promise<void> | undefined;

  constructor(folder: string, schema: Schema, rowsPerBatch: number, limit: number, next: number) {
    this.#folder = folder;
    this.#schema = schema;
    this.#pictures = isPicture(schema.fields.find(({ name }) => name === 'image')?.type as DataType | undefined);
    this.#rowsPerBatch = rowsPerBatch;
    this.#limit = limit;
    this.#next = next;
  }

  /** Continues after the first `keep` rows: whole shards stay as they are, rows of the others are rewritten. */
  async begin(keep: number): Promise<void> {
    const { shards, rest } = await rowsSoFar(this.#folder, keep);
    this.#sealed = shards;
    try {
      for await (const row of rest) await this.#take(row, toCells(row, this.#schema));
      await this.#flush();
    } catch (error) {
      await this.#open?.abandon();
      throw error;
    }
    for (const name of HUB_FILES) await rm(join(this.#folder, name), { force: true });
    this.#begun = true;
    await this.#list();
    await this.#sweep();
  }

  async append(row: Row): Promise<void> {
    if (this.#closing)
      throw new Error(`${this.#folder}  rows: expected an open folder; got row ${row.id} after it was closed`);
    const cells = toCells(row, this.#schema);
    await this.#inTurn(() => this.#take(row, cells));
  }

  flush(): Promise<number> {
    return this.#inTurn(() => this.#flush());
  }

  close(): Promise<void> {
    this.#closing ??= this.#inTurn(() => this.#finish()).catch(async (error: unknown) => {
      await this.#open?.abandon();
      throw error;
    });
    return this.#closing;
  }

  /** One job at a time; after a failure all later ones fail. */
  #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(job);
    this.#last = turn;
    return turn;
  }

  async #take(row: Row, cells: Cells): Promise<void> {
    this.#waiting.push(this.#pictures ? await this.#pictured(row, cells) : cells);
    if (this.#waiting.length >= this.#rowsPerBatch || this.#heavy >= MOST_PICTURES) await this.#writeBatch();
  }

  /** The cells with the bytes of the row's picture; a marked row may have none. */
  async #pictured({ id, image, skipped }: Row, cells: Cells): Promise<Cells> {
    const bytes = await pictureBytes(image).catch((error: unknown) => {
      if (skipped) return null;
      throw new DataError(`row ${id}  image: expected a file that can be read; got ${messageOf(error)}`, {
        cause: error,
      });
    });
    this.#heavy += bytes?.length ?? 0;
    return { ...cells, image: { bytes, path: 'path' in image ? image.path : null } };
  }

  async #writeBatch(): Promise<void> {
    const { length } = this.#waiting;
    if (length === 0) return;
    const batch = encodeBatch(toBatch(this.#waiting, this.#schema));
    if (this.#open && this.#open.rows > 0 && this.#open.bytes + batch.length > this.#limit) await this.#seal();
    const shard = await this.#opened();
    await shard.write(batch, length);
    this.#waiting = [];
    this.#heavy = 0;
  }

  async #opened(): Promise<ShardFile> {
    if (this.#open) return this.#open;
    this.#open = await createShard(this.#folder, `shard-${String(this.#next++).padStart(5, '0')}.arrow`, this.#schema);
    await this.#list();
    return this.#open;
  }

  async #flush(): Promise<number> {
    await this.#writeBatch();
    await this.#open?.sync();
    return [...this.#sealed, ...(this.#open ? [this.#open] : [])].reduce((sum, { rows }) => sum + rows, 0);
  }
  async #seal(): Promise<void> {
    if (!this.#open) return;
    this.#sealed.push(await this.#open.seal());
    this.#open = undefined;
    await this.#list();
  }

  async #finish(): Promise<void> {
    await this.#writeBatch();
    if (this.#sealed.length === 0) await this.#opened();
    await this.#seal();
    this.#sealed = await nameForHub(this.#folder, this.#sealed);
    await this.#list();
    await describeForHub(this.#folder, this.#sealed, this.#schema);
    await this.#sweep();
  }

  /** Until all kept rows are written, the earlier run's manifest stays valid. */
  async #list(): Promise<void> {
    if (this.#begun) await writeManifest(this.#folder, { shards: this.#sealed, open: this.#open?.file ?? null });
  }

  /** Removes shards that the manifest no longer names. */
  async #sweep(): Promise<void> {
    const kept = new Set(['manifest.json', `${this.#open?.file}.partial`, ...this.#sealed.map(({ file }) => file)]);
    const stale = (await readdir(this.#folder)).filter((name) => isOurs(name) && !kept.has(name));
    for (const name of stale) await rm(join(this.#folder, name));
    await syncFolder(this.#folder);
  }
}
