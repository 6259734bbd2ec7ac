import { Struct, type DataType, type Schema } from 'apache-arrow';

import { DataError, shown } from '../../errors.js';
import { nullable, type Cell } from './cells.js';
import { columnsOf, SCHEMA_VERSION, table, type Entry } from './columns.js';
import { earlier } from './earlier.js';
import { ownColumns, type OwnColumns } from './own-columns.js';

/** The table of columns under one schema, of this version or an earlier one. */
export interface Layout {
  readonly entries: readonly {
    readonly entry: Entry;
    /** Cells by column. */
    readonly columns: ReadonlyMap<string, Cell>;
    /** Whether the schema has any of the columns. */
    readonly stands: boolean;
  }[];
  readonly own: OwnColumns;
  /** Keys that a row to be written may have. */
  readonly keys: ReadonlySet<string>;
  /** Names of the reward's parts. */
  readonly parts: readonly string[];
  /** Where a column's values are: a column, or a struct's child. */
  readonly place: (column: string) => readonly [column: string, child?: string];
  /** A column's stored value, as this version stores it. */
  readonly today: (column: string, stored: unknown) => unknown;
}

const layouts = new WeakMap<Schema, Layout>();

/** @throws {DataError} for a schema that is not of rows, or of a version that this program doesn't know. */
export function layoutOf(schema: Schema): Layout {
  const before = layouts.get(schema);
  if (before) return before;
  const made = layout(schema);
  layouts.set(schema, made);
  return made;
}

/**
 * Checks the version of a schema of rows.
 *
 * @returns whether it is this program's.
 * @throws {DataError} if it is none that this program reads.
 */
export function isOfToday({ metadata }: Schema): boolean {
  const version = metadata.get('schema_version');
  if (version === SCHEMA_VERSION) return true;
  if (version !== undefined && Object.hasOwn(earlier, version)) return false;
  const read = [...Object.keys(earlier), SCHEMA_VERSION].join(' or ');
  const newer = Number(version) > Number(SCHEMA_VERSION) ? '; way out: a newer segr1' : '';
  throw new DataError(`columns of rows: expected schema_version ${read}; got ${shown(version)}${newer}`);
}

function layout(schema: Schema): Layout {
  const { fields, metadata } = schema;
  const before = isOfToday(schema) ? undefined : earlier[metadata.get('schema_version') ?? ''];
  const children = (column: string): readonly string[] => {
    const type: DataType | undefined = fields.find(({ name }) => name === column)?.type;
    return type instanceof Struct ? type.children.map(({ name }) => name) : [];
  };
  const own = ownColumns(fields);
  const has = new Set(fields.map(({ name }) => name));
  const place = before?.place ?? ((column) => [column]);
  const parts = before?.parts(children) ?? partsOf([...has].filter((name) => !Object.hasOwn(own, name)));
  const shape = { parts, scores: children('scores'), ignore: has.has('ignore'), images: children('image').length > 0 };
  const entries = table.map((entry) => {
    const columns = columnsOf(entry, shape).map(
      ([name, cell]) => [name, entry.required ? cell : nullable(cell)] as const,
    );
    return { entry, columns: new Map(columns), stands: columns.some(([name]) => has.has(place(name)[0])) };
  });
  return {
    entries,
    own,
    // Scores without a column report their names themselves.
    keys: new Set([
      ...entries.flatMap(({ entry, stands }) =>
        !entry.derived && (stands || Object.hasOwn(entry.columns, 'scores')) ? entry.keys : [],
      ),
      ...Object.keys(own),
    ]),
    parts,
    place,
    today: before?.today ?? ((_, stored) => stored),
  };
}

function partsOf(names: readonly string[]): string[] {
  return names.flatMap((name) => (name.startsWith('reward_') ? [name.slice('reward_'.length)] : []));
}
