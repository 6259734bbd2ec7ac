import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { z } from 'zod';

import { messageOf, UsageError } from '../../errors.js';
import { benchmarkNames } from '../../io/benchmarks/named.js';
import { writeWhole } from '../../io/whole-file.js';
import type { BenchmarkReport } from '../../operators/answer.js';
import { benchmarkTable } from '../../report/benchmark-table.js';
import { markdown } from '../../report/table.js';

// JSON has no NaN and writes null.
const Scores = z.record(
  z.string(),
  z
    .number()
    .nullable()
    .transform((value) => value ?? NaN),
);
const Result = z.object({
  name: z.string(),
  benchmark: z.enum(benchmarkNames),
  questions: z.int().min(0),
  unread: z.int().min(0),
  marked: z.int().min(0),
  scores: Scores,
  parts: z.record(z.string(), Scores),
});

/** Puts what a benchmark came to into the run's folder: `benchmark.json` for programs, `benchmark.md` for people. */
export function writeBenchmark(root: string, name: string, result: BenchmarkReport): void {
  writeWhole(join(root, 'benchmark.json'), `${JSON.stringify({ name, ...result }, null, 2)}\n`);
  writeWhole(join(root, 'benchmark.md'), markdown(name, benchmarkTable(result)));
}

/**
 * What the benchmark of a run came to.
 *
 * @param root the run's folder.
 * @throws {UsageError} if there is no `benchmark.json`, or it is of another kind.
 */
export function readBenchmark(root: string): BenchmarkReport & { readonly name: string } {
  const path = join(root, 'benchmark.json');
  try {
    return Result.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    throw new UsageError(
      `${path}  benchmark: expected what a run with the stage answer wrote; got ${messageOf(error)}`,
      { cause: error },
    );
  }
}
