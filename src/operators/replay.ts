import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Observable } from 'rxjs';
import { z } from 'zod';

import { readManifest } from '../io/manifest.js';
import { readRows } from '../io/arrow/shard.js';
import { shuffled } from '../random.js';
import type { Row } from '../records.js';
import { pulled, type Window } from '../streams/pulled.js';

const carried = ['truth', 'ignore', 'candidates', 'instruction', 'fitted', 'problem', 'thinking', 'solution'] as const;

export const ReplayOptions = z.strictObject({
  /** Folder of a run or of its rows, or several, taken one behind the other. */
  rows: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]),
  /** Columns that every row must have: a row without one of them is marked. */
  columns: z.array(z.enum(carried)).default(['truth', 'fitted']),
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

/** What a row was before it was answered. */
function again(row: Row, columns: readonly (typeof carried)[number][]): Row {
  const { id, image, task, frame, original, truthPath } = row;
  const own = Object.fromEntries(carried.filter((name) => row[name] !== undefined).map((name) => [name, row[name]]));
  const lacking = columns.find((name) => row[name] === undefined);
  const reason = row.skipped ? MARKED : lacking === undefined ? undefined : `row: expected ${lacking}; got none`;
  return {
    id,
    image,
    task,
    frame,
    original,
    ...(truthPath !== undefined && { truthPath }),
    ...own,
    ...(reason !== undefined && { skipped: { stage: 'replay', reason } }),
  };
}

function rowsIn(folder: string): string {
  return existsSync(join(folder, 'manifest.json')) ? folder : join(folder, 'rows');
}
