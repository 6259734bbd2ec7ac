import {
  Binary,
  Bool,
  Dictionary,
  Field,
  FixedSizeList,
  Float32,
  Float64,
  Int32,
  Int64,
  List,
  Struct,
  Utf8,
  type DataType,
} from 'apache-arrow';
import { z } from 'zod';

import { DataError, messageOf, shown } from '../../errors.js';
import type { Box, Mask, Point, Prompt, PromptObject, SceneKey, Size } from '../../records.js';
import { fromCocoString, toCocoString } from '../mask.js';

/** How one type of value is stored in a column: its Arrow type, and the conversion both ways. */
export interface Cell<Value = unknown> {
  /** Its name in the documentation. */
  readonly name: string;
  readonly type: DataType;
  /** Schema of the stored value. */
  readonly shape: z.ZodType;
  /** @throws {DataError} for a value that the column cannot hold. */
  write(value: Value): unknown;
  /**
   * @param stored of that shape.
   * @throws {DataError} for damaged text.
   */
  read(stored: unknown): Value;
}

/** A cell that checks the stored shape when reading. */
function cell<Value, Stored>(own: {
  readonly name: string;
  readonly type: DataType;
  readonly shape: z.ZodType<Stored>;
  readonly write: (value: Value) => Stored;
  readonly read: (stored: Stored) => Value;
}): Cell<Value> {
  return own;
}

/** A cell that stores values unchanged. */
function asIs<Value>(name: string, type: DataType, shape: z.ZodType<Value>): Cell<Value> {
  return cell({ name, type, shape, write: (value) => value, read: (stored) => stored });
}

const number = z.custom<number>((value) => typeof value === 'number', 'expected a number');

export const text = asIs('string', new Utf8(), z.string());
export const bool = asIs('bool', new Bool(), z.boolean());
/** Rounded to float32. */
export const float = asIs('float32', new Float32(), number);
export const double = asIs('float64', new Float64(), number);
/** @throws {DataError} for what is not a 32-bit integer. */
export const int = cell<number, number>({
  name: 'int32',
  type: new Int32(),
  shape: number,
  write: whole,
  read: (stored) => stored,
});

/** @throws {DataError} for what is not an integer of at most 53 bits. */
export const long = cell<number, bigint>({
  name: 'int64',
  type: new Int64(),
  shape: z.bigint(),
  write(value) {
    if (!Number.isSafeInteger(value)) throw new DataError(`a column of 64-bit integers: expected one; got ${value}`);
    return BigInt(value);
  },
  read: Number,
});

/**
 * Words of which there are few: each is stored once a batch.
 *
 * @param id of its own in the schema.
 */
export function words(id: number): Cell<string> {
  return { ...text, name: 'dictionary', type: new Dictionary(new Utf8(), new Int32(), id) };
}

function whole(value: number): number {
  if ((value | 0) !== value) throw new DataError(`a column of 32-bit integers: expected one; got ${value}`);
  return value;
}

/** The same cell limited to a few values: a reader refuses others. */
export function among<Value extends Base, Base>(some: Cell<Base>, shape: z.ZodType<Value>): Cell<Value> {
  return { ...some, shape } as unknown as Cell<Value>;
}

export function list<Value>(item: Cell<Value>): Cell<readonly Value[]> {
  return cell<readonly Value[], unknown[]>({
    name: `list of ${several(item.name)}`,
    type: new List(new Field('item', item.type, true)),
    shape: z.array(item.shape),
    write: (values) => values.map((value) => item.write(value)),
    read: (stored) => stored.map((one) => item.read(one)),
  });
}

/** The same cell for values that may be missing: null. */
export function nullable<Value>(some: Cell<Value>): Cell<Value | null> {
  return {
    ...some,
    shape: some.shape.nullable(),
    write: (value) => (value === null ? null : some.write(value)),
    read: (stored) => (stored === null ? null : some.read(stored)),
  };
}

/** A map with fixed keys, in snake case in Arrow. */
export function struct<Value extends object>(children: {
  readonly [K in keyof Value]-?: Cell<Value[K]>;
}): Cell<Value> {
  const named = Object.entries<Cell>(children).map(([key, child]) => [key, snakeCase(key), child] as const);
  return cell<Value, Record<string, unknown>>({
    name: 'struct',
    type: new Struct(named.map(([, name, { type }]) => new Field(name, type, true))),
    shape: z.object(Object.fromEntries(named.map(([, name, { shape }]) => [name, shape]))),
    write: (value) =>
      Object.fromEntries(named.map(([key, name, child]) => [name, child.write(value[key as keyof Value])])),
    read: (stored) => Object.fromEntries(named.map(([key, name, child]) => [key, child.read(stored[name])])) as Value,
  });
}

/** Values by names of the schema; null for a name that a row lacks. */
export function byName<Value>(
  item: Cell<Value>,
  names: readonly string[],
  what: string,
): Cell<Readonly<Record<string, Value>>> {
  return cell<Readonly<Record<string, Value>>, Record<string, unknown>>({
    name: `struct of ${several(item.name)}`,
    type: new Struct(names.map((name) => new Field(name, item.type, true))),
    shape: z.record(z.string(), item.shape.nullable()),
    write(values) {
      const unknown = Object.keys(values).find((name) => !names.includes(name));
      if (unknown !== undefined)
        throw new DataError(`${what}: expected ${names.join(', ') || 'none'}; got ${shown(unknown)}`);
      return Object.fromEntries(
        names.map((name) => [name, Object.hasOwn(values, name) ? item.write(values[name]) : null]),
      );
    },
    read: (stored) =>
      Object.fromEntries(
        Object.entries(stored).flatMap(([name, value]) => (value === null ? [] : [[name, item.read(value)]])),
      ),
  });
}

/** A value as JSON. */
export function json<Value>(shape: z.ZodType<Value>): Cell<Value> {
  return cell<Value, string>({
    name: text.name,
    type: text.type,
    shape: z.string(),
    write: (value) => JSON.stringify(value),
    read(stored) {
      try {
        return shape.parse(JSON.parse(stored));
      } catch (error) {
        throw new DataError(`${shown(stored)}: expected JSON as it was written; got ${messageOf(error)}`, {
          cause: error,
        });
      }
    },
  });
}

/** A fixed number of one type. */
function fixed(n: number, { name, type }: Cell<number>): Pick<Cell, 'name' | 'type'> {
  return { name: `${name}[${n}]`, type: new FixedSizeList(n, new Field('item', type, true)) };
}

const corners = z.tuple([number, number, number, number]);

/** Width and height. */
export const size = cell<Size, [number, number]>({
  ...fixed(2, int),
  shape: z.tuple([number, number]),
  write: ({ width, height }) => [whole(width), whole(height)],
  read: ([width, height]) => ({ width, height }),
});

export const box = cell<Box, [number, number, number, number]>({
  ...fixed(4, int),
  shape: corners,
  write: ([x1, y1, x2, y2]) => [whole(x1), whole(y1), whole(x2), whole(y2)],
  read: (stored) => stored,
});

/** COCO's compressed run lengths, height before width. */
export const mask = cell<Mask, { size: [number, number]; counts: Uint8Array }>({
  name: 'mask',
  type: new Struct([new Field('size', fixed(2, int).type, true), new Field('counts', new Binary(), true)]),
  shape: z.object({ size: z.tuple([number, number]), counts: z.instanceof(Uint8Array) }),
  write: (value) => ({
    size: [whole(value.height), whole(value.width)],
    counts: new TextEncoder().encode(toCocoString(value)),
  }),
  read: ({ size: [height, width], counts }) => fromCocoString(new TextDecoder().decode(counts), { width, height }),
});

export const scene: Cell<SceneKey> = struct({
  kind: among(text, z.enum(['main', 'pick'])),
  seed: long,
  index: int,
  rule: among(text, z.enum(['warm', 'striped', 'largest', 'any'])),
});

const point: Cell<Point> = struct({ x: int, y: int, label: among(int, z.literal([0, 1])) });
const points = list(point);

/** A box, null for an object without one, its points, and whether all of them count, null where none outside the box do. */
const object = cell<PromptObject, { box: unknown; points: unknown; every_point: true | null }>({
  name: 'object',
  type: new Struct([
    new Field('box', box.type, true),
    new Field('points', points.type, true),
    new Field('every_point', bool.type, true),
  ]),
  shape: z.object({ box: box.shape.nullable(), points: points.shape, every_point: z.literal(true).nullable() }),
  write: (value) => ({
    box: value.box ? box.write(value.box) : null,
    points: points.write(value.points),
    every_point: value.everyPoint ?? null,
  }),
  read: (stored) => ({
    ...(stored.box !== null && { box: box.read(stored.box) }),
    points: points.read(stored.points),
    ...(stored.every_point !== null && { everyPoint: stored.every_point }),
  }),
});

export const prompt: Cell<Prompt> = { ...struct<Prompt>({ frame: size, objects: list(object) }), name: 'prompt' };

/** Where a picture is, and its bytes, which `openShards` fills in: the `Image()` of `datasets`. */
export const picture = cell<string, { bytes: Uint8Array | null; path: string | null }>({
  name: 'struct',
  type: new Struct([new Field('bytes', new Binary(), true), new Field('path', new Utf8(), true)]),
  shape: z.object({ bytes: z.instanceof(Uint8Array).nullable(), path: z.string().nullable() }),
  write: (path) => ({ bytes: null, path }),
  read: ({ path }) => path ?? '',
});

/** `promptTokens` as `prompt_tokens`. */
export function snakeCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function several(name: string): string {
  return name.replace(/^(list|mask|prompt)\b/, '$1s');
}
