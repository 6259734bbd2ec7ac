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
 * built-in stages are not checked; of others, those that they declare, and those that they changed.
 *
 * @throws {Error} through the stream, for what is no row, a row that the stage did not take, one with an undeclared
 *   column, or without one that every row needs.
 */
export function heldRows(stages: readonly CheckedStage[]): MonoTypeOperatorFunction<Row>[] {
  const keys = new Set(rowKeys);
  // Rows inside each custom stage, by id.
  const inside = stages.map(() => new Map<string, Row>());
  return stages.map(({ name, stage, options }, index) => {
    const misfits = misfitsOf(stage, options);
    const own = !isBuiltIn(stage);
    const next = stages[index + 1];
    const entering = next && !isBuiltIn(next.stage) ? inside[index + 1] : undefined;
    for (const column of Object.keys(ownColumnsOf(stage, options))) keys.add(column);
    const declared = new Set(keys);
    const names = new Set(stages.slice(0, index + 1).map((before) => before.name));
    return map((given: unknown) => {
      const row = own ? asRow(name, given) : (given as Row);
      const before = own && index > 0 ? taken(name, row, inside[index]) : undefined;
      const lost = Object.entries(row).find(([key, value]) => value !== undefined && !declared.has(key));
      if (lost) throw undeclared(name, row, ...lost);
      const held = ownMark(name, names, fitting(name, misfits(row, before), row));
      entering?.set(held.id, held);
      return held;
    });
  });
}

const isBuiltIn = (stage: Stage): boolean => builtIn.get(stage.name) === stage;

/** @throws {Error} for anything but a row. */
function asRow(stage: string, given: unknown): Row {
  const { id, skipped } = given !== null && typeof given === 'object' ? (given as Partial<Row>) : {};
  if (typeof id !== 'string')
    throw new Error(
      `${stage}: expected rows, each with its id; got ${shown(given)}${given instanceof Promise ? '; way out: concatMap, which waits for a promise' : ''}`,
    );
  if (skipped !== undefined && !(typeof skipped?.stage === 'string' && typeof skipped.reason === 'string'))
    throw new Error(`${id}  ${stage}: expected a mark of { stage, reason }, two texts; got ${shown(skipped)}`);
  const lacking = requiredKeys.find((key) => (given as Readonly<Record<string, unknown>>)[key] === undefined);
  if (lacking !== undefined)
    throw new Error(`${id}  ${stage}: expected the column ${shown(lacking)} in every row; got none`);
  return given as Row;
}

/** The row as the stage took it. @throws {Error} for one that it did not take, or gave already. */
function taken(stage: string, { id }: Row, inside: Map<string, Row>): Row {
  const row = inside.get(id);
  if (!row) throw new Error(`${id}  ${stage}: expected a row that it took, once; got another id, or the row again`);
  inside.delete(id);
  return row;
}

type Misfits = readonly (readonly [column: string, fault: string])[];

/** Values of the wrong type in a stage's row. */
function misfitsOf(stage: Stage, options: unknown): (row: Row, before?: Row) => Misfits {
  const own = Object.entries(ownColumnsOf(stage, options));
  const known = columnsOf(stage, options).filter((column) => rowKeys.has(column));
  const trusted = isBuiltIn(stage);
  return (row, before) => {
    const values = row as unknown as Readonly<Record<string, unknown>>;
    const old = before as unknown as Readonly<Record<string, unknown>> | undefined;
    const changed = old ? [...rowKeys].filter((key) => key !== 'skipped' && values[key] !== old[key]) : [];
    const faults = [
      ...own.map(([column, { misfit }]) => [column, fault(values[column], misfit)] as const),
      ...(trusted
        ? []
        : [...new Set([...known, ...changed])].map((column) => [column, misfitOf(column, row)] as const)),
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
