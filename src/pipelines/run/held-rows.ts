import { map, type MonoTypeOperatorFunction } from 'rxjs';

import { shown } from '../../errors.js';
import { requiredKeys, rowKeys } from '../../io/arrow/columns.js';
import { misfitOf } from '../../io/arrow/rows.js';
import type { Row } from '../../records.js';
import type { CheckedStage } from '../stage.js';
import { columnsOf, ownColumnsOf, type Stage } from '../stage.js';
import { stages as builtIn } from '../stages/table.js';

/**
 * Checks the rows of each stage against what the stage declares, one operator for each.
 *
 * A value of the wrong type is removed and its row marked, with the name of the stage that made it. Built-in columns of
 * built-in stages are not checked.
 *
 * @throws {Error} through the stream, for a row with an undeclared column, or without one that every row needs.
 */
export function heldRows(stages: readonly CheckedStage[]): MonoTypeOperatorFunction<Row>[] {
  const keys = new Set(rowKeys);
  return stages.map(({ name, stage, options }, index) => {
    const misfits = misfitsOf(stage, options);
    for (const column of Object.keys(ownColumnsOf(stage, options))) keys.add(column);
    const declared = new Set(keys);
    const names = new Set(stages.slice(0, index + 1).map((before) => before.name));
    return map((row) => {
      const lost = Object.entries(row).find(([key, value]) => value !== undefined && !declared.has(key));
      if (lost) throw undeclared(name, row, ...lost);
      return ownMark(name, names, fitting(name, misfits(row), row));
    });
  });
}

type Misfits = readonly (readonly [column: string, fault: string])[];

/** Values of the wrong type in a stage's row. */
function misfitsOf(stage: Stage, options: unknown): (row: Row) => Misfits {
  const own = Object.entries(ownColumnsOf(stage, options));
  const known = columnsOf(stage, options).filter((column) => rowKeys.has(column));
  const trusted = builtIn.get(stage.name) === stage;
  return (row) => {
    const values = row as unknown as Readonly<Record<string, unknown>>;
    const faults = [
      ...own.map(([column, { misfit }]) => [column, fault(values[column], misfit)] as const),
      ...(trusted ? [] : known.map((column) => [column, misfitOf(column, row)] as const)),
    ];
    return faults.flatMap(([column, text]) => (text === undefined ? [] : [[column, text] as const]));
  };
}

function fault(value: unknown, misfit: (value: unknown) => string | undefined): string | undefined {
  return value === undefined || value === null ? undefined : misfit(value);
}

/** The row without values of the wrong type, marked if there are any. */
function fitting(stage: string, misfits: Misfits, row: Row): Row {
  if (misfits.length === 0) return row;
  const reason = misfits.map(([column, text]) => `${column}: ${text}`).join('; ');
  const wrong = new Set(misfits.map(([column]) => column));
  if (requiredKeys.some((key) => wrong.has(key))) throw new Error(`${row.id}  ${stage}: ${reason}`);
  const rest = Object.fromEntries(Object.entries(row).filter(([key]) => !wrong.has(key))) as unknown as Row;
  return { ...rest, skipped: row.skipped ?? { stage, reason } };
}

/** An operator marks rows with its own name, not the name of the stage that uses it. */
function ownMark(stage: string, names: ReadonlySet<string>, row: Row): Row {
  return row.skipped && !names.has(row.skipped.stage) ? { ...row, skipped: { ...row.skipped, stage } } : row;
}

function undeclared(stage: string, row: Row, column: string, value: unknown): Error {
  return new Error(
    `${row.id}  ${stage}: expected columns that the stage declares; got ${JSON.stringify(column)}, ${shown(value)}; way out: adds: { ${column}: column.float('…') }, or the type that it has`,
  );
}
