import { readFile, rename, writeFile } from 'node:fs/promises';

import { Float64, Int32, Table, tableToIPC, Utf8, vectorFromArray, type Vector } from 'apache-arrow';
import { z } from 'zod';

import { DataError } from '../errors.js';
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

/**
 * Steps as a table: `step`, `time`, a column a metric and speed, `seconds/STAGE`, `blocked/STAGE` and `queue/STAGE`;
 * null where a step lacks one.
 */
function metricsTable(lines: readonly MetricsLine[]): Table {
  const flat = lines.map(({ metrics, speed, seconds, blocked, queue }) => ({
    ...metrics,
    ...speed,
    ...prefixed('seconds', seconds),
    ...prefixed('blocked', blocked),
    ...prefixed('queue', queue),
  }));
  const names = [...new Set(flat.flatMap((line) => Object.keys(line)))];
  const columns: Record<string, Vector> = {
    step: vectorFromArray(
      lines.map(({ step }) => step),
      new Int32(),
    ),
    time: vectorFromArray(
      lines.map(({ time }) => time),
      new Utf8(),
    ),
  };
  for (const name of names)
    columns[name] = vectorFromArray(
      flat.map((line) => line[name] ?? null),
      new Float64(),
    );
  return new Table(columns);
}

/** Writes the table as an Arrow IPC stream; readers see either the old or the new file. */
export async function writeMetrics(path: string, lines: readonly MetricsLine[]): Promise<void> {
  await replace(path, tableToIPC(metricsTable(lines), 'stream'));
}

/** One step as a line of JSON; numbers that JSON doesn't know become null. */
export function metricsText(line: MetricsLine): string {
  return `${JSON.stringify(line)}\n`;
}

/**
 * Cuts a file of such lines back to those of the first `steps` steps: without steps that will be taken again, and
 * without partial lines.
 *
 * @returns the remaining steps; none without a file.
 * @throws {DataError} if a step is missing.
 */
export async function cutMetrics(path: string, steps: number): Promise<MetricsLine[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const whole = text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => readLine(line) ?? []);
  const kept = whole.filter(({ step }) => step <= steps);
  if (kept.length < steps)
    throw new DataError(`${path}  metrics: expected a line for each of ${steps} steps; got ${kept.length}`);
  await replaceMetrics(path, kept);
  return kept;
}

/** Rewrites a file of such lines; readers see either the old or the new file. */
export async function replaceMetrics(path: string, lines: readonly MetricsLine[]): Promise<void> {
  await replace(path, lines.map(metricsText).join(''));
}

async function replace(path: string, data: string | Uint8Array): Promise<void> {
  await writeFile(`${path}.partial`, data)
    .then(() => rename(`${path}.partial`, path))
    .catch(noRoom(path, 'metrics'));
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
