import { Field } from 'apache-arrow';
import { z } from 'zod';

import { shown } from '../../errors.js';
import { bool, double, int, json, list, text, type Cell } from './cells.js';

/** A custom column of a stage: the type and meaning of its values. */
export interface Column<Value = unknown> {
  readonly kind: Kind;
  readonly doc: string;
  readonly cell: Cell<Value>;
  /** Why the column cannot hold a value, `expected …; got …`; undefined where it can. */
  readonly misfit: (value: unknown) => string | undefined;
}

/** Custom columns, by name. */
export type OwnColumns = Readonly<Record<string, Column>>;

/** The columns' values in a row; each may be missing. */
export type OwnValues<Columns> = {
  readonly [K in keyof Columns as Columns[K] extends Column ? K : never]?: Columns[K] extends Column<infer Value>
    ? Value
    : never;
};

type Kind = 'float' | 'int' | 'bool' | 'text' | 'json' | { readonly list: Kind };

interface Plain {
  readonly cell: Cell;
  readonly one: string;
  readonly many: string;
  readonly fits: (value: unknown) => boolean;
}

const plain: Readonly<Record<Exclude<Kind, object>, Plain>> = {
  float: { cell: double, one: 'a number', many: 'numbers', fits: (value) => typeof value === 'number' },
  int: {
    cell: int,
    one: 'a 32-bit integer',
    many: '32-bit integers',
    fits: (value) => typeof value === 'number' && (value | 0) === value,
  },
  bool: { cell: bool, one: 'true or false', many: 'true or false', fits: (value) => typeof value === 'boolean' },
  text: { cell: text, one: 'a text', many: 'texts', fits: (value) => typeof value === 'string' },
  json: { cell: json(z.unknown()), one: 'JSON', many: 'JSON', fits: isJson },
};

function isJson(value: unknown): boolean {
  try {
    // Refuses circles, and what is nested too deep for a reader.
    JSON.stringify(value);
    return z.json().safeParse(value).success;
  } catch {
    return false;
  }
}

/**
 * Kinds of columns for a stage's `adds`, each with a sentence on what its values mean.
 *
 * A number of `float` is a float64, and may be NaN; `json` takes any JSON value.
 */
export const column = {
  /** For a built-in column, beside custom ones. */
  known: 'known' as const,
  float: (doc: string) => columnOf('float', doc) as Column<number>,
  int: (doc: string) => columnOf('int', doc) as Column<number>,
  bool: (doc: string) => columnOf('bool', doc) as Column<boolean>,
  text: (doc: string) => columnOf('text', doc) as Column<string>,
  json: (doc: string) => columnOf('json', doc),
  /** A list of such values; the sentence is the item's. */
  list: <Value>({ kind, doc }: Column<Value>) => columnOf({ list: kind }, doc) as Column<readonly Value[]>,
};

/** Whether a value was made by `column`. */
export function isColumn(value: unknown): value is Column {
  return value !== null && typeof value === 'object' && typeof (value as Partial<Column>).misfit === 'function';
}

/** The column as a schema has it: its kind and its sentence are in the field's metadata. */
export function ownField(name: string, { kind, doc }: Column): Field {
  return new Field(name, cellOf(kind).type, true, new Map([[METADATA, JSON.stringify({ kind, doc })]]));
}

/** The custom columns among a schema's fields. */
export function ownColumns(fields: readonly Field[]): OwnColumns {
  return Object.fromEntries(
    fields.flatMap(({ name, metadata }) => {
      const said = Said.safeParse(parsed(metadata.get(METADATA)));
      return said.success ? [[name, columnOf(said.data.kind, said.data.doc)]] : [];
    }),
  );
}

const METADATA = 'segr1';
const KindShape: z.ZodType<Kind> = z.union([
  z.enum(['float', 'int', 'bool', 'text', 'json']),
  z.object({
    get list() {
      return KindShape;
    },
  }),
]);
const Said = z.object({ kind: KindShape, doc: z.string() });

function parsed(said: string | undefined): unknown {
  try {
    return JSON.parse(said ?? 'null');
  } catch {
    return undefined;
  }
}

function columnOf(kind: Kind, doc: string): Column {
  return { kind, doc, cell: cellOf(kind), misfit: (value) => misfitOf(kind, value) };
}

function cellOf(kind: Kind): Cell {
  return typeof kind === 'object' ? list(cellOf(kind.list)) : plain[kind].cell;
}

function misfitOf(kind: Kind, value: unknown): string | undefined {
  if (typeof kind === 'string')
    return plain[kind].fits(value) ? undefined : `expected ${plain[kind].one}; got ${shown(value)}`;
  if (!Array.isArray(value)) return `expected a list of ${manyOf(kind.list)}; got ${shown(value)}`;
  const wrong = value.findIndex((item) => misfitOf(kind.list, item) !== undefined);
  return wrong < 0 ? undefined : `item ${wrong}: ${misfitOf(kind.list, value[wrong])}`;
}

const manyOf = (kind: Kind): string => (typeof kind === 'object' ? `lists of ${manyOf(kind.list)}` : plain[kind].many);
