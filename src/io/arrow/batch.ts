import { StructRow, Vector, type RecordBatch } from 'apache-arrow';

import { DataError, messageOf, UsageError } from '../../errors.js';
import { knownNames } from '../../nearest.js';
import type { Row } from '../../records.js';
import { nullable, type Cell } from './cells.js';
import { table, type StoredRow } from './columns.js';
import { layoutOf, type Layout } from './layout.js';

/** Which columns of rows are read, and of which rows. */
export interface Choice {
  /** Keys of a row; all that stages added by default. */
  readonly columns?: readonly string[] | undefined;
  /** Rows to read; a column is decoded when it is looked at. */
  readonly where?: ((row: StoredRow) => boolean) | undefined;
}

/**
 * The rows of a record batch, as they were before `toCells` save for the rounding to float32.
 *
 * @throws {DataError} if the columns are not those of `rowSchema`, or a row's do not fit together.
 * @throws {UsageError} if `where` looks at a column that there is not.
 */
export function fromBatch(batch: RecordBatch, { columns, where }: Choice = {}): Row[] {
  const layout = layoutOf(batch.schema);
  const at = cellsOf(batch, layout);
  const wanted = columns && new Set(columns);
  const entries = layout.entries.filter(({ entry }) =>
    wanted ? entry.keys.some((key) => wanted.has(key)) : !entry.derived,
  );
  const own = Object.keys(layout.own).filter((name) => wanted?.has(name) ?? true);
  const rows: Row[] = [];
  for (let i = 0; i < batch.numRows; i++) {
    if (where && !where(lazily(i, layout, at))) continue;
    const row: Record<string, unknown> = {};
    for (const entry of entries) Object.assign(row, valuesOf(entry, i, layout, at));
    for (const name of own) Object.assign(row, ownValue(name, i, layout, at));
    if (wanted) for (const key of Object.keys(row)) if (!wanted.has(key)) delete row[key];
    // The cells have checked the required keys.
    rows.push(row as unknown as Row);
  }
  return rows;
}

/** @throws {UsageError} for a name that no row has. @param own custom columns of the rows. */
export function checkColumns(columns: readonly string[], own: readonly string[]): void {
  const known = [...new Set(table.flatMap(({ keys }) => keys as readonly string[])), ...own];
  const unknown = columns.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageError(noColumn('columns', unknown, known));
}

function noColumn(where: string, name: string, known: readonly string[]): string {
  return `${where}: expected a column that rows have; got ${JSON.stringify(name)}; ${knownNames(name, known)}`;
}

type Cells = ReturnType<typeof cellsOf>;

/** The values of a batch: a column's in a row, checked. */
function cellsOf(batch: RecordBatch, { place, today }: Layout) {
  const vectors = new Map<string, Vector | null>();
  const vector = (column: string): Vector | null => {
    let found = vectors.get(column);
    if (found === undefined) {
      const [name, child] = place(column);
      const whole = batch.getChild(name);
      found = (child === undefined ? whole : whole?.getChild(child)) ?? null;
      vectors.set(column, found);
    }
    return found;
  };
  const metadata = batch.schema.metadata;
  return {
    metadata,
    value(column: string, cell: Cell, i: number): unknown {
      const stored = today(column, plain(vector(column)?.get(i) ?? null));
      const checked = cell.shape.safeParse(stored);
      if (checked.success) return cell.read(checked.data);
      const [issue] = checked.error.issues;
      throw new DataError(
        `row ${i} of a batch, column ${[column, ...(issue?.path ?? [])].join('.')}: ${issue?.message ?? 'unreadable'}`,
      );
    },
  };
}

/** What an entry says about a row; derived anew where the shard does not have it. */
function valuesOf(
  { entry, columns, stands }: Layout['entries'][number],
  i: number,
  layout: Layout,
  at: Cells,
): Partial<StoredRow> {
  if (entry.derived && !stands) return entry.read(entry.write(originsOf(entry.derived, i, layout, at), at.metadata));
  const values: Record<string, unknown> = {};
  try {
    for (const [name, cell] of columns) values[name] = at.value(name, cell, i);
    return entry.read(values);
  } catch (error) {
    throw inRow(i, layout, at, error);
  }
}

/** The keys that a derived column follows from. */
function originsOf(keys: readonly (keyof Row)[], i: number, layout: Layout, at: Cells): Partial<Row> {
  const origins = layout.entries.filter(({ entry }) => keys.some((key) => !entry.derived && entry.keys.includes(key)));
  return Object.assign({}, ...origins.map((origin) => valuesOf(origin, i, layout, at))) as Partial<Row>;
}

function ownValue(name: string, i: number, { own }: Layout, at: Cells): Record<string, unknown> {
  const value = at.value(name, nullable((own[name] as { readonly cell: Cell }).cell), i);
  return value === null ? {} : { [name]: value };
}

/** An error with the row's id, as far as that can be read. */
function inRow(i: number, { entries }: Layout, at: Cells, error: unknown): DataError {
  const [name, cell] = [...(entries[0]?.columns ?? [])][0] ?? [];
  const message = messageOf(error);
  if (!name || !cell || message.startsWith('row ')) return new DataError(message, { cause: error });
  return new DataError(`row ${String(at.value(name, cell, i))}  ${message}`, { cause: error });
}

/** A row whose columns are decoded when they are looked at. */
function lazily(i: number, layout: Layout, at: Cells): StoredRow {
  const byKey = entriesByKey(layout);
  return new Proxy(Object.create(null) as StoredRow, {
    get(_, key) {
      if (typeof key === 'symbol') return undefined;
      const entry = byKey.get(key);
      if (entry) return valuesOf(entry, i, layout, at)[key as keyof StoredRow];
      if (Object.hasOwn(layout.own, key)) return ownValue(key, i, layout, at)[key];
      throw new UsageError(noColumn('where', key, [...byKey.keys(), ...Object.keys(layout.own)]));
    },
    has: (_, key) => byKey.has(String(key)) || Object.hasOwn(layout.own, key),
  });
}

const byKeys = new WeakMap<Layout, Map<string, Layout['entries'][number]>>();

function entriesByKey(layout: Layout): ReadonlyMap<string, Layout['entries'][number]> {
  let found = byKeys.get(layout);
  if (!found) {
    found = new Map(layout.entries.flatMap((one) => one.entry.keys.map((key) => [key, one] as const)));
    byKeys.set(layout, found);
  }
  return found;
}

/** Arrow values as plain arrays and objects. */
function plain(value: unknown): unknown {
  if (value instanceof Vector) return Array.from(value, plain);
  if (value instanceof StructRow) return Object.fromEntries(Array.from(value, ([name, child]) => [name, plain(child)]));
  return value;
}
