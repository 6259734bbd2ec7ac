import { writeFile } from 'node:fs/promises';

import { Float64, Int32, Table, tableToIPC, Utf8, vectorFromArray, type Vector } from 'apache-arrow';

/** What is known of one optimizer step; numbers by name. */
export interface MetricsLine {
  readonly step: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly seconds: Readonly<Record<string, number>>;
  readonly queue: Readonly<Record<string, number>>;
}

/** Steps as a table: `step`, `time`, a column a metric, `seconds/STAGE` and `queue/STAGE`; null where a step lacks one. */
export function metricsTable(lines: readonly MetricsLine[]): Table {
  const flat = lines.map(({ metrics, seconds, queue }) => ({ ...metrics, ...prefixed('seconds', seconds), ...prefixed('queue', queue) }));
  const names = [...new Set(flat.flatMap((line) => Object.keys(line)))];
  const columns: Record<string, Vector> = {
    step: vectorFromArray(lines.map(({ step }) => step), new Int32()),
    time: vectorFromArray(lines.map(({ time }) => time), new Utf8()),
  };
  for (const name of names) columns[name] = vectorFromArray(flat.map((line) => line[name] ?? null), new Float64());
  return new Table(columns);
}

/** Writes the table as an Arrow IPC stream. */
export async function writeMetrics(path: string, lines: readonly MetricsLine[]): Promise<void> {
  await writeFile(path, tableToIPC(metricsTable(lines), 'stream'));
}

function prefixed(name: string, values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [`${name}/${key}`, value]));
}
