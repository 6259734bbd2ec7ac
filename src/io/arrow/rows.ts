import { makeBuilder, RecordBatch, Struct, StructRow, Vector, type DataType, type Schema } from 'apache-arrow';
import { z } from 'zod';

import { DataError, messageOf, shown } from '../../errors.js';
import type { Row } from '../../records.js';
import { nullable, type Cell } from './cells.js';
import { SCHEMA_VERSION, table, type Entry } from './columns.js';
import { ownColumns, type OwnColumns } from './own-columns.js';

/** One row as column values, by name; missing ones are null. */
export type Cells = Readonly<Record<string, unknown>>;

/**
 * One row as the columns of `schema` hold it. Rewards and log-probs become float32.
 *
 * @throws {DataError} for a value that its column cannot hold, and for a key that the schema has no column for.
 */
export function toCells(row: Row, schema: Schema): Cells {
  const { entries, own, keys } = layoutOf(schema);
  try {
    const lost = Object.entries(row).find(([key, value]) => value !== undefined && !keys.has(key));
    if (lost) throw new DataError(undeclared(...lost));
    const cells: Record<string, unknown> = {};
    for (const { entry, columns } of entries) {
      const values = entry.write(row);
      for (const [name, cell] of columns) cells[name] = cell.write(values[name] ?? null);
    }
    for (const [name, { cell, misfit }] of Object.entries(own)) {
      const value = (row as unknown as Cells)[name] ?? null;
      const fault = value === null ? undefined : misfit(value);
      if (fault !== undefined) throw new DataError(`column ${shown(name)}: ${fault}`);
      cells[name] = value === null ? null : cell.write(value);
    }
    return cells;
  } catch (error) {
    throw new DataError(`row ${row.id}  ${messageOf(error)}`, { cause: error });
  }
}

/** Why the columns of a known key cannot hold what a row has there, `expected …; got …`; undefined where they can. */
export function misfitOf(key: string, row: Row): string | undefined {
  const entry = table.find(({ keys }) => keys.some((own) => own === key));
  const value = (row as unknown as Cells)[key];
  if (!entry || value === undefined) return undefined;
  // The schema checks names of parts.
  const names = (by: unknown): string[] => (by !== null && typeof by === 'object' ? Object.keys(by) : []);
  const shape = { parts: names(row.rewards?.byName), scores: names(row.scores) };
  const cells = Object.entries(entry.columns).map(([name, column]) => [name, column.cell(shape)] as const);
  try {
    const values = entry.write(row);
    for (const [name, cell] of cells) {
      const some = nullable(cell);
      some.read(some.shape.parse(some.write(values[name] ?? null)));
    }
    return undefined;
  } catch {
    return `expected ${cells.map(([, { name }]) => name).join(', ')}; got ${shown(value)}`;
  }
}

/** Rows as one record batch of `schema`. */
export function toBatch(rows: readonly Cells[], schema: Schema): RecordBatch {
  const builder = makeBuilder<DataType>({ type: new Struct(schema.fields), nullValues: [null, undefined] });
  for (const row of rows) builder.append(row);
  return new RecordBatch(schema, builder.finish().flush());
}

/**
 * The rows of a record batch, as they were before `toCells` save for the rounding to float32.
 *
 * @throws {DataError} if the columns are not those of `rowSchema`, or a row's do not fit together.
 */
export function fromBatch(batch: RecordBatch): Row[] {
  const version = batch.schema.metadata.get('schema_version');
  if (version !== SCHEMA_VERSION)
    throw new DataError(`columns of rows: expected schema_version ${SCHEMA_VERSION}; got ${shown(version)}`);
  const layout = layoutOf(batch.schema);
  return Array.from({ length: batch.numRows }, (_, i) => {
    const cells = layout.shape.safeParse(plain(batch.get(i)));
    if (cells.success) return fromCells(cells.data, layout);
    const [issue] = cells.error.issues;
    throw new DataError(`row ${i} of a batch, column ${issue?.path.join('.')}: ${issue?.message ?? 'unreadable'}`);
  });
}

function fromCells(cells: Cells, { entries, own }: Layout): Row {
  try {
    const row: Record<string, unknown> = {};
    for (const { entry, columns } of entries)
      Object.assign(row, entry.read(Object.fromEntries(columns.map(([name, cell]) => [name, cell.read(cells[name])]))));
    for (const [name, { cell }] of Object.entries(own)) if (cells[name] !== null) row[name] = cell.read(cells[name]);
    // The shape has checked the required keys.
    return row as unknown as Row;
  } catch (error) {
    throw new DataError(`row ${String(cells['id'])}  ${messageOf(error)}`, { cause: error });
  }
}

/** The table under one schema. */
interface Layout {
  readonly entries: readonly { readonly entry: Entry; readonly columns: readonly (readonly [string, Cell])[] }[];
  readonly own: OwnColumns;
  /** Keys of a row that have a place. */
  readonly keys: ReadonlySet<string>;
  readonly shape: z.ZodType<Cells>;
}

const layouts = new WeakMap<Schema, Layout>();

function layoutOf(schema: Schema): Layout {
  const before = layouts.get(schema);
  if (before) return before;
  const made = layout(schema);
  layouts.set(schema, made);
  return made;
}

function layout({ fields }: Schema): Layout {
  const names = (column: string): readonly string[] => {
    const type: DataType | undefined = fields.find(({ name }) => name === column)?.type;
    return type instanceof Struct ? type.children.map(({ name }) => name) : [];
  };
  const has = new Set(fields.map(({ name }) => name));
  const shape = { parts: names('reward_parts'), scores: names('scores'), ignore: has.has('ignore') };
  const entries = table.map((entry) => ({
    entry,
    columns: Object.entries(entry.columns).map(
      ([name, { cell }]) => [name, entry.required ? cell(shape) : orNull(cell(shape))] as const,
    ),
  }));
  const own = ownColumns(fields);
  const shapes = [
    ...entries.flatMap(({ columns }) => columns.map(([name, cell]) => [name, cell.shape] as const)),
    ...Object.entries(own).map(([name, { cell }]) => [name, orNull(cell).shape] as const),
  ];
  return {
    entries,
    own,
    keys: new Set([...table.filter((entry) => stands(entry, has)).flatMap(({ keys }) => keys), ...Object.keys(own)]),
    shape: z.object(Object.fromEntries(shapes)),
  };
}

/** Also where the schema lacks the column. */
function orNull(cell: Cell): Cell {
  const some = nullable(cell);
  return { ...some, shape: some.shape.default(null) };
}

/** Columns with names report missing names themselves; others are there or not. */
function stands({ columns }: Entry, has: ReadonlySet<string>): boolean {
  return Object.keys(columns).some((name) => has.has(name)) || Object.hasOwn(columns, 'scores');
}

function undeclared(key: string, value: unknown): string {
  const name = JSON.stringify(key);
  const way = key === 'ignore' ? 'ignore: true' : `columns: { ${key}: column.float('…') }`;
  return `column ${name}: expected one of the schema's; got ${shown(value)}; way out: rowSchema(…, { ${way} })`;
}

/** Arrow values as plain arrays and objects. */
function plain(value: unknown): unknown {
  if (value instanceof Vector) return Array.from(value, plain);
  if (value instanceof StructRow) return Object.fromEntries(Array.from(value, ([name, child]) => [name, plain(child)]));
  return value;
}
