import { createReadStream, existsSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import {
  Field,
  Float64,
  Int32,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Utf8,
  vectorFromArray,
  type Vector,
} from 'apache-arrow';
import { z } from 'zod';

import { DataError } from '../errors.js';
import { encodeBatch, encodeSchema, END_MARK } from './arrow/shard-file.js';
import { noRoom } from './whole-file.js';

/** How the time since the step before was spent; differs between runs. */
export interface Timing {
  /** `step_time`, seconds, and `tokens_per_second`. */
  readonly speed: Readonly<Record<string, number>>;
  /** Busy seconds by stage. */
  readonly seconds: Readonly<Record<string, number>>;
  /** Seconds in which the source was held back by a full window. */
  readonly blocked: Readonly<Record<string, number>>;
  /** Rows inside each stage. */
  readonly queue: Readonly<Record<string, number>>;
}

/** One optimizer step: numbers by name. */
export interface MetricsLine extends Timing {
  readonly step: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly metrics: Readonly<Record<string, number>>;
}

type Flat = Readonly<Record<string, number>>;

function flat({ metrics, speed, seconds, blocked, queue }: MetricsLine): Flat {
  return {
    ...metrics,
    ...speed,
    ...prefixed('seconds', seconds),
    ...prefixed('blocked', blocked),
    ...prefixed('queue', queue),
  };
}

/** Steps that are in memory at once. */
const BATCH = 1000;

/**
 * Writes the lines of a file as an Arrow IPC stream: `step`, `time`, a column a metric and speed, `seconds/STAGE`,
 * `blocked/STAGE` and `queue/STAGE`; null where a step lacks one. Readers see either the old or the new table.
 */
export async function writeMetrics(path: string, lines: string): Promise<void> {
  const names = new Set<string>();
  for await (const line of readMetrics(lines)) for (const name of Object.keys(flat(line))) names.add(name);
  await written(path, async (write) => {
    await write(encodeSchema(batchOf([], names).schema));
    let waiting: MetricsLine[] = [];
    for await (const line of readMetrics(lines)) {
      waiting.push(line);
      if (waiting.length < BATCH) continue;
      await write(encodeBatch(batchOf(waiting, names)));
      waiting = [];
    }
    if (waiting.length > 0) await write(encodeBatch(batchOf(waiting, names)));
    await write(END_MARK);
  });
}

function batchOf(lines: readonly MetricsLine[], names: ReadonlySet<string>): RecordBatch {
  const rows = lines.map(flat);
  const fields = [new Field('step', new Int32(), true), new Field('time', new Utf8(), true)];
  const numbers = [...names].map((name) => new Field(name, new Float64(), true));
  const values: readonly Vector[] = [
    vectorFromArray(
      lines.map(({ step }) => step),
      new Int32(),
    ),
    vectorFromArray(
      lines.map(({ time }) => time),
      new Utf8(),
    ),
    ...[...names].map((name) =>
      vectorFromArray(
        rows.map((row) => row[name] ?? null),
        new Float64(),
      ),
    ),
  ];
  const schema = new Schema([...fields, ...numbers]);
  const type = new Struct(schema.fields);
  const children = values.map(({ data }) => data[0]);
  return new RecordBatch(schema, makeData({ type, length: lines.length, children, nullCount: 0 }));
}

/** One step as a line of JSON; numbers that JSON doesn't know become null. */
export function metricsText(line: MetricsLine): string {
  return `${JSON.stringify(line)}\n`;
}

/** The lines of such a file in order, one at a time; what is no line is left out. None without a file. */
export async function* readMetrics(path: string): AsyncGenerator<MetricsLine, void, undefined> {
  if (!existsSync(path)) return;
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const line = readLine(text);
    if (line) yield line;
  }
}

/** @throws {DataError} if there is not a whole line for each of the first `steps` steps. */
export async function checkMetrics(path: string, steps: number): Promise<void> {
  let found = 0;
  for await (const { step } of readMetrics(path)) if (step <= steps) found++;
  if (found < steps) throw new DataError(`${path}  metrics: expected a line for each of ${steps} steps; got ${found}`);
}

/**
 * Cuts a file of such lines back to those of the first `steps` steps: without steps that will be taken again, and
 * without partial lines.
 *
 * @returns the last that remains; undefined without a file.
 * @throws {DataError} if a step is missing.
 */
export async function cutMetrics(path: string, steps: number): Promise<MetricsLine | undefined> {
  await checkMetrics(path, steps);
  let last: MetricsLine | undefined;
  await written(path, async (write) => {
    for await (const line of readMetrics(path)) {
      if (line.step > steps) continue;
      last = line;
      await write(metricsText(line));
    }
  });
  return last;
}

/** Puts another line in the place of the last; readers see either the old or the new file. */
export async function replaceLast(path: string, line: MetricsLine): Promise<void> {
  const { step } = line;
  await written(path, async (write) => {
    for await (const before of readMetrics(path)) if (before.step < step) await write(metricsText(before));
    await write(metricsText(line));
  });
}

async function written(
  path: string,
  fill: (write: (data: string | Uint8Array) => Promise<unknown>) => Promise<void>,
): Promise<void> {
  try {
    const file = await open(`${path}.partial`, 'w');
    try {
      await fill((data) => file.appendFile(data));
    } finally {
      await file.close();
    }
    await rename(`${path}.partial`, path);
  } catch (error) {
    noRoom(path, 'metrics')(error);
  }
}

const numbers = z.record(
  z.string(),
  z
    .number()
    .nullable()
    .transform((value) => value ?? NaN),
);
const Line = z.object({
  step: z.int(),
  time: z.string(),
  metrics: numbers,
  speed: numbers.default({}),
  seconds: numbers,
  blocked: numbers.default({}),
  queue: numbers,
});

function readLine(line: string): MetricsLine | undefined {
  try {
    return Line.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}

function prefixed(name: string, values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [`${name}/${key}`, value]));
}
