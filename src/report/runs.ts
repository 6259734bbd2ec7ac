import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { createInterface } from 'node:readline';

import { z } from 'zod';

import { messageOf, shortPath, UsageError } from '../errors.js';

// JSON has no NaN and writes null.
const number = z
  .number()
  .nullable()
  .transform((value) => value ?? NaN);
const Metric = z.object({ value: number, low: number, high: number, n: z.number() });
const SetOf = z.object({
  set: z.string(),
  kind: z.enum(['foreground', 'referring']),
  n: z.number(),
  units: z.number(),
  metrics: z.record(z.string(), Metric),
});
const Stored = z.object({
  name: z.string(),
  protocol: z.enum(['standard', 'legacy']).default('standard'),
  sets: z.array(SetOf).default([]),
  metrics: z.record(z.string(), z.object({ mean: number })).default({}),
});
const Item = z.object({
  id: z.string(),
  set: z.string(),
  unit: z.string(),
  kind: z.enum(['foreground', 'referring']),
  values: z.record(z.string(), number),
});
export type StoredItem = z.output<typeof Item>;

/** Where a run, or `segr1 score --out`, left its results, as absolute paths. */
export interface ResultFiles {
  readonly root: string;
  readonly summary: string;
  readonly benchmark: string;
  readonly scores: string;
}

/** Results in a run's folder. */
export interface StoredRun {
  /** Its folder's name. */
  readonly name: string;
  readonly protocol: 'standard' | 'legacy';
  readonly sets: readonly z.output<typeof SetOf>[];
  readonly items: readonly StoredItem[];
  /** Other numbers by name: means of a tally, and those of a benchmark. */
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * Reads the results of a run.
 *
 * @throws {UsageError} if there is neither a summary nor a benchmark, or one that can't be read.
 */
export async function readRun({ root, summary, benchmark, scores }: ResultFiles): Promise<StoredRun> {
  if (!statSync(root, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`${shortPath(root)}  run: expected a folder; got none`);
  if (!existsSync(summary) && !existsSync(benchmark))
    throw new UsageError(
      `${shortPath(root)}  run: expected ${basename(summary)} or ${basename(benchmark)} in it; got neither`,
    );
  const { protocol, sets, metrics } = existsSync(summary) ? parsed(summary, Stored) : Stored.parse({ name: '' });
  const measured = existsSync(benchmark) ? numbersOf(parsed(benchmark, z.unknown()), 'benchmark') : {};
  const counted = Object.fromEntries(Object.entries(metrics).map(([name, { mean }]) => [name, mean]));
  return {
    name: basename(root),
    protocol,
    sets,
    items: await readItems(scores),
    numbers: { ...counted, ...measured },
  };
}

/** Every number of nested maps, by the names on its way. */
function numbersOf(value: unknown, name: string): Record<string, number> {
  if (typeof value === 'number') return { [name]: value };
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return {};
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, child]) => numbersOf(child, `${name}/${key}`)),
  ) as Record<string, number>;
}

async function readItems(path: string): Promise<StoredItem[]> {
  const items: StoredItem[] = [];
  if (!existsSync(path)) return items;
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    if (line.trim() !== '') items.push(read(line, Item, `${shortPath(path)}:${items.length + 1}`));
  }
  return items;
}

function parsed<T>(path: string, shape: z.ZodType<T>): T {
  return read(readFileSync(path, 'utf8'), shape, shortPath(path));
}

function read<T>(text: string, shape: z.ZodType<T>, where: string): T {
  try {
    return shape.parse(JSON.parse(text));
  } catch (error) {
    const why =
      error instanceof z.ZodError
        ? `${error.issues[0]?.path.join('.')}: ${error.issues[0]?.message}`
        : messageOf(error);
    throw new UsageError(`${where}  run: expected what a run writes; got ${why}`, { cause: error });
  }
}
