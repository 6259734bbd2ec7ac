import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Observable } from 'rxjs';
import { z } from 'zod';

import { replayedKeys } from '../io/arrow/columns.js';
import type { OwnColumns } from '../io/arrow/own-columns.js';
import { readRows } from '../io/arrow/shard.js';
import { storedColumns } from '../io/arrow/stored-columns.js';
import { readManifest } from '../io/manifest.js';
import { shuffled } from '../random.js';
import type { Row } from '../records.js';
import { pulled, type Window } from '../streams/pulled.js';

export const ReplayOptions = z.strictObject({
  /** Folder of a run or of its rows, or several, taken one behind the other. */
  rows: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  /**
   * Columns that every row must have: a row without one of them is marked. Those of one's own are given again only
   * where they are named here.
   */
  columns: z.array(z.string().min(1)).default(['truth', 'fitted']),
  epochs: z.int().min(1).default(1),
  /** Another order each epoch; the seed decides it. */
  shuffle: z.boolean().default(true),
});
export type ReplayOptions = z.input<typeof ReplayOptions>;

/** What a row had been marked for in its own run. */
export const MARKED = 'marked in its own run';

/**
 * Rows of an earlier run, each once an epoch, as they were before a policy answered; all of them are in memory.
 *
 * Rows that were marked come marked again.
 *
 * @param window gets every credit back through whoever lets rows leave.
 * @throws {DataError} through the stream: the rows can't be read.
 */
export function replay(options: ReplayOptions, seed: number, window: Window): Observable<Row> {
  const checked = ReplayOptions.parse(options);
  return pulled(() => replayed(checked, seed), window);
}

/** @throws {DataError} if there is no manifest of rows. */
export async function replayable({ rows }: ReplayOptions): Promise<void> {
  for (const folder of [rows].flat()) await readManifest(rowsIn(folder));
}

async function* replayed(
  { rows: folders, columns, epochs, shuffle }: z.output<typeof ReplayOptions>,
  seed: number,
): AsyncGenerator<Row, void, void> {
  const rows: Row[] = [];
  for (const folder of [folders].flat())
    for await (const row of readRows(rowsIn(folder))) rows.push(again(row, columns));
  for (let epoch = 0; epoch < epochs; epoch++) {
    const order = shuffle ? shuffled(rows.length, 'load', seed, epoch) : rows.keys();
    for (const index of order) {
      const row = rows[index];
      yield { ...row, id: `e${epoch}/${index}/${row.id.replace(/^e\d+\/\d+\//, '')}` };
    }
  }
}

/** What a row was before it was answered, and the columns that were asked for. */
function again(row: Row, columns: readonly string[]): Row {
  const stored = row as unknown as Readonly<Record<string, unknown>>;
  const own = Object.fromEntries(
    [...new Set<string>([...replayedKeys, ...columns])]
      .filter((name) => stored[name] !== undefined)
      .map((name) => [name, stored[name]]),
  );
  const lacking = columns.find((name) => stored[name] === undefined);
  const reason = row.skipped ? MARKED : lacking === undefined ? undefined : `row: expected ${lacking}; got none`;
  // Every row has what no row can be without, and `replayedKeys` names it.
  return { ...(own as unknown as Row), ...(reason !== undefined && { skipped: { stage: 'replay', reason } }) };
}

/** Columns that the rows will have, those of one's own with their types; none but the known ones of unread folders. */
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

/** A column that can be asked for of any rows. */
export function isReplayed(name: string): boolean {
  return replayedKeys.some((key) => key === name);
}

const REQUIRED = ['id', 'image', 'task', 'frame', 'original'];

function rowsIn(folder: string): string {
  return existsSync(join(folder, 'manifest.json')) ? folder : join(folder, 'rows');
}
