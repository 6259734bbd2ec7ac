import { map, type MonoTypeOperatorFunction } from 'rxjs';

import { shown, UsageError } from '../../errors.js';
import { rowKeys } from '../../io/arrow/columns.js';
import type { OwnColumns } from '../../io/arrow/own-columns.js';
import type { Row } from '../../records.js';
import type { CheckedStage } from '../config/check.js';
import { ownColumnsOf } from '../stage.js';

/**
 * Holds the rows of a pipeline's stages to what the stages declare, one operator a stage.
 *
 * A value that does not fit its column's type is taken out and marks the row, and a mark carries the name of the stage
 * that made it.
 *
 * @throws {UsageError} through the stream, for a row with a column that no stage up to there declares.
 */
export function heldRows(stages: readonly CheckedStage[]): MonoTypeOperatorFunction<Row>[] {
  const keys = new Set(rowKeys);
  return stages.map(({ name, stage, options }, index) => {
    const own = ownColumnsOf(stage, options);
    for (const column of Object.keys(own)) keys.add(column);
    const declared = new Set(keys);
    const names = new Set(stages.slice(0, index + 1).map((before) => before.name));
    return map((row) => {
      const lost = Object.entries(row).find(([key, value]) => value !== undefined && !declared.has(key));
      if (lost) throw undeclared(name, row, ...lost);
      return ownMark(name, names, fitting(name, own, row));
    });
  });
}

/** The row without the values that do not fit, marked where there are such. */
function fitting(stage: string, own: OwnColumns, row: Row): Row {
  const values = row as unknown as Readonly<Record<string, unknown>>;
  const faults = Object.entries(own).flatMap(([column, { misfit }]) => {
    const value = values[column] ?? null;
    const fault = value === null ? undefined : misfit(value);
    return fault === undefined ? [] : [[column, `${column}: ${fault}`] as const];
  });
  if (faults.length === 0) return row;
  const wrong = new Set<string>(faults.map(([column]) => column));
  const rest = Object.fromEntries(Object.entries(row).filter(([key]) => !wrong.has(key))) as unknown as Row;
  return { ...rest, skipped: row.skipped ?? { stage, reason: faults.map(([, fault]) => fault).join('; ') } };
}

/** An operator marks rows with its own name, whatever the stage is called that is built with it. */
function ownMark(stage: string, names: ReadonlySet<string>, row: Row): Row {
  return row.skipped && !names.has(row.skipped.stage) ? { ...row, skipped: { ...row.skipped, stage } } : row;
}

function undeclared(stage: string, row: Row, column: string, value: unknown): UsageError {
  return new UsageError(
    `${row.id}  ${stage}: expected columns that the stage declares; got ${JSON.stringify(column)}, ${shown(value)}; way out: adds: { ${column}: column.float('…') }, or the type that it has`,
  );
}
