import { UsageError } from '../../errors.js';
import type { BenchmarkResult } from './result.js';

/** One number of two results. */
export interface Comparison {
  /** Split, subtask or category; empty for the whole benchmark. */
  readonly part: string;
  readonly score: string;
  readonly before: number;
  readonly after: number;
  /** After minus before. */
  readonly gain: number;
}

/**
 * Results of two checkpoints on the same questions, number by number, without parts that only one has.
 *
 * @throws {UsageError} if they answered different benchmarks, or not as many questions.
 */
export function compareResults(before: BenchmarkResult, after: BenchmarkResult): Comparison[] {
  const [was, is] = [before, after].map(({ benchmark, questions }) => `${questions} questions of ${benchmark}`);
  if (was !== is) throw new UsageError(`results: expected two on the same questions; got ${was} and ${is}`);
  const parts = Object.keys(after.parts).filter((part) => part in before.parts);
  return ['', ...parts].flatMap((part) => {
    const [old, own] = [before, after].map((result) => (part === '' ? result.scores : (result.parts[part] ?? {})));
    return Object.entries(own ?? {}).map(([score, value]) => {
      const first = old?.[score] ?? NaN;
      return { part, score, before: first, after: value, gain: value - first };
    });
  });
}
