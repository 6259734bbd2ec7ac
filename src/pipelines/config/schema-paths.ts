import type { z } from 'zod';

import type { Path } from './yaml-source.js';

interface Definition {
  readonly type: string;
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly discriminator?: string;
  readonly element?: z.ZodType;
  readonly valueType?: z.ZodType;
}

/** Keys that a schema takes, in its order; of a union, those of every branch. */
export function knownKeys(schema: z.ZodType | undefined): string[] {
  if (!schema) return [];
  const { options, shape } = definition(schema);
  return options ? [...new Set(options.flatMap((option) => knownKeys(plain(option))))] : Object.keys(shape ?? {});
}

/**
 * The schema of what stands at `path` of `value`, wrappers (default, optional, pipe …) taken off; undefined where there
 * is none.
 */
export function schemaAt(schema: z.ZodType, path: Path, value: unknown): z.ZodType | undefined {
  const here = branch(plain(schema), value);
  if (path.length === 0) return here;
  const [step, ...rest] = path as [string | number, ...Path];
  const { shape, element, valueType, options } = definition(here);
  const below = valueAt(value, [step]);
  if (options) return options.map((option) => schemaAt(option, path, value)).find((found) => found !== undefined);
  const next = shape ? (Object.hasOwn(shape, step) ? shape[step] : undefined) : (element ?? valueType);
  return next && schemaAt(next, rest, below);
}

/** The branches of a union, in the order of zod's issues about it. */
export function branchesOf(schema: z.ZodType | undefined): readonly z.ZodType[] {
  return (schema && definition(schema).options) ?? [];
}

/** What stands at `path` of a value; undefined where nothing does. */
export function valueAt(value: unknown, path: Path): unknown {
  let at: unknown = value;
  for (const step of path) {
    if (at === null || typeof at !== 'object' || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string | number, unknown>)[step];
  }
  return at;
}

/** The branch that a discriminator (`kind: …`) in `value` picks; the schema itself where nothing does. */
function branch(schema: z.ZodType, value: unknown): z.ZodType {
  const { options, discriminator } = definition(schema);
  if (!options || discriminator === undefined) return schema;
  const tag = valueAt(value, [discriminator]);
  return (
    options.map(plain).find((option) => definition(option).shape?.[discriminator]?.safeParse(tag).success) ?? schema
  );
}

function plain(schema: z.ZodType): z.ZodType {
  const { innerType, in: input } = definition(schema);
  const inside = innerType ?? input;
  return inside ? plain(inside) : schema;
}

function definition(schema: z.ZodType): Definition {
  return schema.def;
}
