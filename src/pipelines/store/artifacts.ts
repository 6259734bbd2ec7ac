import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { defined } from '../../defined.js';
import { messageOf, shortPath, UsageError } from '../../errors.js';
import { benchmarkNames } from '../../io/benchmarks/named.js';
import { encodePng } from '../../io/image.js';
import { replaceJson } from '../../io/manifest.js';
import { writeWhole } from '../../io/whole-file.js';
import type { BenchmarkReport } from '../../operators/answer.js';
import type { Panel } from '../../operators/scoring/gallery.js';
import type { Tally } from '../../operators/tally.js';
import { benchmarkTable } from '../../report/benchmark-table.js';
import { markdown } from '../../report/table.js';
import { gainTable } from '../../report/tally-table.js';
import type { GainEvent, Summary } from '../events.js';
import { EVALUATION_PREFIX } from '../settings.js';
import { RunFolder } from './run-folder.js';

/** Marks a run as finished, with its summary. */
export async function writeFinished(folder: RunFolder, summary: Summary): Promise<void> {
  await replaceJson(folder.finished, summary);
}

/** The summary of a finished run; undefined for others. */
export function readFinished({ finished }: RunFolder): Summary | undefined {
  return existsSync(finished) ? (JSON.parse(readFileSync(finished, 'utf8')) as Summary) : undefined;
}

/** What training changed: `gain.json` for programs, `gain.md` for people. */
export function writeGain(folder: RunFolder, gain: Omit<GainEvent, 'kind'>): void {
  writeJson(folder.gain, gain);
  writeWhole(folder.gainText, markdown(`${gain.name}: before and after`, gainTable(gain)));
}

/** By row, its metrics. */
export type Values = ReadonlyMap<string, Readonly<Record<string, number>>>;

/** The result of an evaluation: overall, and row by row. */
export interface EvaluationResult {
  readonly tally: Tally;
  readonly rows: Values;
}

/** Saves an evaluation in its folder, so it need not run again. */
export async function writeEvaluation(folder: RunFolder, { tally, rows }: EvaluationResult): Promise<void> {
  await replaceJson(folder.values, { tally, rows: [...rows] });
}

/** The evaluation that `writeEvaluation` saved; undefined if there is none. */
export function readEvaluation({ values }: RunFolder): EvaluationResult | undefined {
  if (!existsSync(values)) return undefined;
  // JSON has null for NaN, and nothing else of it is null.
  const { tally, rows } = JSON.parse(readFileSync(values, 'utf8'), (_, value: unknown) => value ?? NaN) as {
    tally: Tally;
    rows: [string, Record<string, number>][];
  };
  return { tally, rows: new Map(rows) };
}

/** The evaluation after a step, as metrics of that step; undefined if none has ended. */
export function evaluationMetrics(folder: RunFolder, step: number): Record<string, number> | undefined {
  const found = readEvaluation(folder.evaluation(step));
  if (!found) return undefined;
  const metrics = Object.entries(found.tally.metrics);
  return Object.fromEntries(metrics.map(([name, { mean }]) => [`${EVALUATION_PREFIX}${name}`, mean]));
}

/** Panels as PNG in `overlays`, and what each shows in its `index.json`. */
export async function writePanels(folder: RunFolder, panels: readonly Panel[]): Promise<void> {
  mkdirSync(folder.overlays, { recursive: true });
  const file = (name: string): string => `${name}.png`;
  for (const { name, image } of panels) writeWhole(join(folder.overlays, file(name)), await encodePng(image));
  const index = panels.map(({ name, id, worth, step, answers }) => ({
    file: file(name),
    id,
    reward: worth,
    ...defined({ step, answers }),
  }));
  writeJson(folder.overlayIndex, index);
}

// JSON has no NaN and writes null.
const Scores = z.record(
  z.string(),
  z
    .number()
    .nullable()
    .transform((value) => value ?? NaN),
);
const Benchmark = z.object({
  name: z.string(),
  benchmark: z.enum(benchmarkNames),
  questions: z.int().min(0),
  unread: z.int().min(0),
  marked: z.int().min(0),
  scores: Scores,
  parts: z.record(z.string(), Scores),
});

/** The result of a benchmark: `benchmark.json` for programs, `benchmark.md` for people. */
export function writeBenchmark(folder: RunFolder, name: string, result: BenchmarkReport): void {
  writeJson(folder.benchmark, { name, ...result });
  writeWhole(folder.benchmarkText, markdown(name, benchmarkTable(result)));
}

/**
 * The result of a run's benchmark.
 *
 * @param root the run's folder.
 * @throws {UsageError} if there is no `benchmark.json`, or it is of another kind.
 */
export function readBenchmark(root: string): BenchmarkReport & { readonly name: string } {
  const path = new RunFolder(root).benchmark;
  try {
    return Benchmark.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new UsageError(
      `${shortPath(path)}  benchmark: expected what a run with the stage answer wrote; got ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function writeJson(file: string, value: unknown): void {
  writeWhole(file, `${JSON.stringify(value, null, 2)}\n`);
}
