import { rename, rm } from 'node:fs/promises';

import { connect, filter, map, merge, type OperatorFunction } from 'rxjs';

import { DataError } from '../../errors.js';
import { recoverRows } from '../../io/arrow/shard.js';
import type { Row } from '../../records.js';
import type { RunFolder } from '../store/run-folder.js';

/** Unmarked rows that an interrupted run had written, by id. */
export type RowCache = ReadonlyMap<string, Row>;

/**
 * Moves the rows of an interrupted run aside and reads them; all are in memory.
 *
 * @returns those of whole batches; none if they are damaged. After several interruptions, those of the attempt that got
 * furthest.
 */
export async function putAside({ rows, earlierRows: aside }: RunFolder): Promise<RowCache> {
  const [before, since] = [await wholeRows(aside), await wholeRows(rows)];
  const further = since.size >= before.size;
  await rm(further ? aside : rows, { recursive: true, force: true });
  if (further) await rename(rows, aside);
  return further ? since : before;
}

/** Removes what `putAside` put aside. */
export async function dropAside({ earlierRows }: RunFolder): Promise<void> {
  await rm(earlierRows, { recursive: true, force: true });
}

async function wholeRows(folder: string): Promise<RowCache> {
  const rows = new Map<string, Row>();
  try {
    for await (const row of recoverRows(folder)) if (!row.skipped) rows.set(row.id, row);
  } catch (error) {
    if (error instanceof DataError) return new Map();
    throw error;
  }
  return rows;
}

/** The same operator, but cached rows get their `columns` from the cache, without waiting for others. */
export function cached(
  operator: OperatorFunction<Row, Row>,
  columns: readonly string[],
  kept: RowCache,
): OperatorFunction<Row, Row> {
  const known = ({ id, skipped }: Row): boolean => {
    const row = skipped ? undefined : kept.get(id);
    return row !== undefined && columns.every((name) => Object.hasOwn(row, name));
  };
  const filled = (row: Row): Row => ({
    ...row,
    ...Object.fromEntries(columns.map((name) => [name, kept.get(row.id)?.[name as keyof Row]])),
  });
  return connect((rows) =>
    merge(
      rows.pipe(filter(known), map(filled)),
      rows.pipe(
        filter((row) => !known(row)),
        operator,
      ),
    ),
  );
}
