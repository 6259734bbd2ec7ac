import type { Observable } from 'rxjs';
import { z } from 'zod';

import { replayedKeys } from '../io/arrow/columns.js';
import type { OwnColumns } from '../io/arrow/own-columns.js';
import { readRows, rowsIn } from '../io/arrow/shard-reader.js';
import { checkVersions, storedColumns } from '../io/arrow/stored-columns.js';
import { hashOf } from '../io/fingerprint.js';
import { readManifest } from '../io/manifest.js';
import { shuffled } from '../random.js';
import type { Row } from '../records.js';
import { pulled, type Window } from '../streams/pulled.js';

export const ReplayOptions = z.strictObject({
  /** Folder of a run or of its rows, or several in sequence. */
  rows: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  /**
   * Columns that every row must have: a row without one of them is marked. Custom columns are replayed only if they are
   * named here.
   */
  columns: z.array(z.string().min(1)).default(['truth', 'fitted']),
  epochs: z.int().min(1).default(1),
  /** Another order each epoch; the seed decides it. */
  shuffle: z.boolean().default(true),
});
export type ReplayOptions = z.input<typeof ReplayOptions>;

/** What a replay works with. */
export interface ReplayContext {
  /** Decides the order of each epoch. */
  readonly seed: number;
  /** The credit window; every credit must be returned when its row leaves. */
  readonly window: Window;
}

/** Why a row was marked in its own run. */
export const MARKED = 'marked in its own run';

/**
 * Rows of an earlier run, each once an epoch, as they were before a policy wrote about them; all of them are in memory.
 * Marked rows stay marked.
 *
 * @throws {DataError} through the stream, if the rows can't be read.
 */
export function replay({ seed, window }: ReplayContext, options: ReplayOptions): Observable<Row> {
  const checked = ReplayOptions.parse(options);
  return pulled(() => replayed(checked, seed), window);
}

/** @throws {DataError} if there is no manifest of rows, or they have columns of a newer version. */
export async function replayable({ rows }: ReplayOptions): Promise<void> {
  for (const folder of [rows].flat().map(rowsIn)) {
    await readManifest(folder);
    checkVersions(folder);
  }
}

/** The shards of the rows, as their manifests have them. @throws {DataError} if there is no manifest of rows. */
export async function replayedShards({ rows }: ReplayOptions): Promise<Record<string, string>> {
  const folders = [rows]
    .flat()
    .map(async (folder) => [`rows of ${folder}`, hashOf((await readManifest(rowsIn(folder))).shards)]);
  return Object.fromEntries(await Promise.all(folders)) as Record<string, string>;
}

async function* replayed(
  { rows: folders, columns, epochs, shuffle }: z.output<typeof ReplayOptions>,
  seed: number,
): AsyncGenerator<Row, void, void> {
  const rows: Row[] = [];
  for (const folder of [folders].flat())
    for await (const row of readRows(folder, { columns: asked(folder, columns) })) rows.push(again(row, columns));
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffle ? shuffled(rows.length, 'load', seed, epoch) : rows.keys();
    for (const index of order) {
      const row = rows[index];
      yield { ...row, id: `e${epoch}/${index}/${row.id.replace(/^e\d+\/\d+\//, '')}` };
    }
  }
}

/** What is read of a folder's rows: custom columns as far as it has them. */
function asked(folder: string, columns: readonly string[]): (keyof Row)[] {
  const { own } = storedColumns(rowsIn(folder));
  const custom = columns.filter((name) => Object.hasOwn(own, name)) as (keyof Row)[];
  return [...new Set<keyof Row>([...replayedKeys, ...custom, 'skipped'])];
}

/** A row before any completion, with the requested columns. */
function again(row: Row, columns: readonly string[]): Row {
  const stored = row as unknown as Readonly<Record<string, unknown>>;
  const own = Object.fromEntries(
    [...new Set<string>([...replayedKeys, ...columns])]
      .filter((name) => stored[name] !== undefined)
      .map((name) => [name, stored[name]]),
  );
  const lacking = columns.find((name) => stored[name] === undefined);
  const reason = row.skipped ? MARKED : lacking === undefined ? undefined : `row: expected ${lacking}; got none`;
  // Every row has the required columns, which `replayedKeys` includes.
  return { ...(own as unknown as Row), ...(reason !== undefined && { skipped: { stage: 'replay', reason } }) };
}

/** Columns of the rows, custom ones with their types; only the built-in ones if the folders are not read. */
export function replayedColumns({ rows: folders, columns = [] }: ReplayOptions): {
  readonly known: readonly string[];
  readonly own: OwnColumns;
} {
  const stored = [folders].flat().map((folder) => storedColumns(rowsIn(folder)));
  const own: OwnColumns = Object.assign({}, ...stored.map((one) => one.own)) as OwnColumns;
  const always = [...REQUIRED, ...(stored.some(({ names }) => names.has('ignore')) ? ['ignore'] : [])];
  return {
    known: [...new Set([...always, ...columns.filter((name) => isReplayed(name))])],
    own: Object.fromEntries(Object.entries(own).filter(([name]) => columns.includes(name))),
  };
}

/** A custom column that is asked for and has one type in some rows, another in others, `expected …; got …`. */
export function tornColumn({ rows: folders, columns = [] }: ReplayOptions): string | undefined {
  const before = new Map<string, { readonly kind: string; readonly folder: string }>();
  for (const folder of [folders].flat())
    for (const [name, column] of Object.entries(storedColumns(rowsIn(folder)).own)) {
      const kind = JSON.stringify(column.kind);
      const other = before.get(name);
      if (other && other.kind !== kind && columns.includes(name))
        return `expected one type of ${name} in all rows; got ${other.kind} in ${other.folder}, ${kind} in ${folder}`;
      before.set(name, other ?? { kind, folder });
    }
  return undefined;
}

/** A column that can be requested of any rows. */
export function isReplayed(name: string): boolean {
  return replayedKeys.some((key) => key === name);
}

const REQUIRED = ['id', 'image', 'task', 'frame', 'original'];
