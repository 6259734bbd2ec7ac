import { shown } from '../../errors.js';
import { isTaken, rowKeys } from '../../io/arrow/columns.js';
import { isColumn } from '../../io/arrow/own-columns.js';
import { addsOf } from '../stage.js';
import type { CheckedStage } from '../stage.js';
import type { Issue } from './issues.js';

/** Faults of the columns that stages declare: one without a type, a name that is taken, a column declared twice. */
export function declaredColumns(stages: readonly CheckedStage[]): Issue[] {
  const owners = new Map<string, string>();
  return stages.flatMap(({ name, stage, options }, index) => {
    if (options === undefined && typeof stage.adds === 'function') return [];
    const adds = addsOf(stage, options);
    const texts = Array.isArray(adds)
      ? listed(adds as readonly string[])
      : Object.entries(adds).flatMap(([column, type]) => typed(column, type, name, owners));
    return texts.map((text) => ({ path: ['stages', index, name], part: 'key' as const, text: `${name}: ${text}` }));
  });
}

function listed(adds: readonly string[]): string[] {
  return adds.flatMap((column, at) => {
    if (!rowKeys.has(column)) return [untyped(column)];
    return adds.indexOf(column) < at ? [`adds: expected each column once; got ${JSON.stringify(column)} twice`] : [];
  });
}

function typed(column: string, type: unknown, stage: string, owners: Map<string, string>): string[] {
  const got = JSON.stringify(column);
  if (type === 'known') return rowKeys.has(column) ? [] : [untyped(column)];
  if (!isColumn(type)) return [`adds.${column}: expected a type such as column.float('…'); got ${shown(type)}`];
  if (!/^[A-Za-z]\w*$/.test(column))
    return [`adds: expected a column's name of letters, digits and _, a letter first; got ${got}`];
  if (rowKeys.has(column))
    return [`adds: expected a name of its own; got ${got}, which rows have; way out: column.known, or another name`];
  if (isTaken(column)) return [`adds: expected a name of its own; got ${got}, which shards have`];
  const owner = owners.get(column.toLowerCase());
  owners.set(column.toLowerCase(), stage);
  return owner === undefined
    ? []
    : [`adds: expected a column that no stage has declared; got ${got}, which ${owner} adds already`];
}

function untyped(column: string): string {
  return `adds: expected a type for a column of its own; got ${JSON.stringify(column)} without; way out: adds: { ${column}: column.float('…') }`;
}
