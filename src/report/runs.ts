import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

import { z } from 'zod';

import { messageOf, UsageError } from '../errors.js';

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

/** What a run's folder tells. */
export interface StoredRun {
  /** The folder as it was named. */
  readonly name: string;
  readonly protocol: 'standard' | 'legacy';
  readonly sets: readonly z.output<typeof SetOf>[];
  readonly items: readonly StoredItem[];
  /** Other numbers by name: means of a tally, and those of a benchmark. */
  readonly numbers: Readonly<Record<string, number>>;
}

/**
 * Reads what a run, or `segr1 score --out`, left in its folder.
 *
 * @throws {UsageError} if there is neither a summary nor a benchmark, or one that can't be read.
 */
export async function readRun(folder: string): Promise<StoredRun> {
  const [summary, benchmark] = ['summary.json', 'benchmark.json'].map((file) => join(folder, file)) as [string, string];
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new UsageError(`${folder}  run: expected a folder; got none`);
  if (!existsSync(summary) && !existsSync(benchmark))
    throw new UsageError(`${folder}  run: expected summary.json or benchmark.json in it; got neither`);
  const { protocol, sets, metrics } = existsSync(summary) ? parsed(summary, Stored) : Stored.parse({ name: '' });
  const measured = existsSync(benchmark) ? numbersOf(parsed(benchmark, z.unknown()), 'benchmark') : {};
  const counted = Object.fromEntries(Object.entries(metrics).map(([name, { mean }]) => [name, mean]));
  return {
    name: basename(resolve(folder)),
    protocol,
    sets,
    items: await readItems(join(folder, 'scores.jsonl')),
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
    if (line.trim() !== '') items.push(read(line, Item, `${path}:${items.length + 1}`));
  }
  return items;
}

function parsed<T>(path: string, shape: z.ZodType<T>): T {
  return read(readFileSync(path, 'utf8'), shape, path);
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
