import { makeBuilder, RecordBatch, Struct, type DataType, type Schema } from 'apache-arrow';

import { DataError, messageOf, shown } from '../../errors.js';
import type { Row } from '../../records.js';
import { nullable } from './cells.js';
import { columnsOf, table } from './columns.js';
import { layoutOf } from './layout.js';

/** One row as column values, by name; missing ones are null. */
export type Cells = Readonly<Record<string, unknown>>;

/**
 * One row as the columns of `schema` hold it. Rewards and log-probs become float32.
 *
 * @throws {DataError} for a value that its column cannot hold, and for a key that the schema has no column for.
 */
export function toCells(row: Row, schema: Schema): Cells {
  const { entries, own, keys, parts } = layoutOf(schema);
  try {
    const lost = Object.entries(row).find(([key, value]) => value !== undefined && !keys.has(key));
    if (lost) throw new DataError(undeclared(...lost));
    const cells: Record<string, unknown> = {};
    for (const { entry, columns } of entries) {
      const values = entry.write(row, schema.metadata);
      const lacking = Object.keys(values).find((name) => !columns.has(name));
      if (lacking !== undefined) throw new DataError(partless(lacking, parts));
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
  const entry = table.find(({ keys, derived }) => !derived && keys.some((own) => own === key));
  const value = (row as unknown as Cells)[key];
  if (!entry || value === undefined) return undefined;
  // The schema checks names of parts.
  const names = (by: unknown): string[] => (by !== null && typeof by === 'object' ? Object.keys(by) : []);
  const shape = { parts: names(row.rewards?.byName), scores: names(row.scores) };
  const cells = columnsOf(entry, shape);
  try {
    const values = entry.write(row, new Map());
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

/** Why a reward's part has no column. */
function partless(column: string, parts: readonly string[]): string {
  return `parts of the reward: expected ${parts.join(', ') || 'none'}; got ${shown(column.replace(/^reward_/, ''))}`;
}

function undeclared(key: string, value: unknown): string {
  const name = JSON.stringify(key);
  const way = key === 'ignore' ? 'ignore: true' : `columns: { ${key}: column.float('…') }`;
  return `column ${name}: expected one of the schema's; got ${shown(value)}; way out: rowSchema(…, { ${way} })`;
}
