import type { Scores } from '../metrics/benchmarks/verdict.js';
import type { BenchmarkReport } from '../operators/answer.js';
import type { Table } from './table.js';

/** The result of a benchmark: a line for all, one for each part, and the number of questions. */
export function benchmarkTable({ benchmark, questions, unread, marked, scores, parts }: BenchmarkReport): Table {
  const names = [...new Set([scores, ...Object.values(parts)].flatMap((own) => Object.keys(own)))];
  const line = (label: string, own: Scores): string[] => [
    label,
    ...names.map((name) => (name in own ? shownScore(name, own[name]) : '')),
  ];
  const count = (label: string, value: number): string[] => [label, String(value), ...names.slice(1).map(() => '')];
  return [
    ['', ...names],
    line(benchmark, scores),
    ...Object.entries(parts).map(([part, own]) => line(`  ${part}`, own)),
    count('questions', questions),
    count('unread answers', unread),
    count('marked', marked),
  ];
}

/** Shares with three decimals, MME's sums and scores with one. */
function shownScore(name: string, value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '-';
  return value.toFixed(['score', 'perception', 'cognition'].includes(name) ? 1 : 3);
}
