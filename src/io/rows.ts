import { makeBuilder, RecordBatch, Struct, StructRow, Vector, type DataType, type Schema } from 'apache-arrow';

import { DataError, shown } from '../errors.js';
import type { Row } from '../records.js';
import { Cells } from './cells.js';
import { SCHEMA_VERSION } from './columns.js';
import { fromCells } from './from-cells.js';

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
  return Array.from({ length: batch.numRows }, (_, i) => {
    const cells = Cells.safeParse(plain(batch.get(i)));
    if (cells.success) return fromCells(cells.data);
    const [issue] = cells.error.issues;
    throw new DataError(`row ${i} of a batch, column ${issue?.path.join('.')}: ${issue?.message ?? 'unreadable'}`);
  });
}

/** What Arrow holds as plain arrays and objects. */
function plain(value: unknown): unknown {
  if (value instanceof Vector) return Array.from(value, plain);
  if (value instanceof StructRow) return Object.fromEntries(Array.from(value, ([name, child]) => [name, plain(child)]));
  return value;
}
