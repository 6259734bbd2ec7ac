import type { Question } from '../../records.js';
import { circularScores } from './circular.js';
import { mmeScores, subtaskScores } from './mme.js';
import { popeScores } from './pope.js';
import { grouped, isRight, share, type Scores, type Verdict } from './verdict.js';

/** The result of a benchmark. */
export interface BenchmarkResult {
  readonly benchmark: Question['benchmark'];
  /** Questions that were answered, each order of the options by itself. */
  readonly questions: number;
  /** Those of them whose answer could not be read. */
  readonly unread: number;
  readonly scores: Scores;
  /** By split, subtask or category, a wider one before those inside it. */
  readonly parts: Readonly<Record<string, Scores>>;
}

/** Scoring functions for all questions, and for one part. */
const scorers: Readonly<
  Record<
    Question['benchmark'],
    { readonly all: (verdicts: readonly Verdict[]) => Scores; readonly part: (verdicts: readonly Verdict[]) => Scores }
  >
> = {
  pope: { all: popeScores, part: popeScores },
  mme: { all: mmeScores, part: subtaskScores },
  mmbench: { all: circularScores, part: circularScores },
  ai2d: { all: accuracyOf, part: accuracyOf },
};

/** Scores of a benchmark's questions, in any order. */
export function benchmarkResult(benchmark: Question['benchmark'], verdicts: readonly Verdict[]): BenchmarkResult {
  const { all, part } = scorers[benchmark];
  const names = verdicts.flatMap((verdict) => partsOf(verdict).map((name) => ({ name, verdict })));
  const parts = [...grouped(names, ({ name }) => name)].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    benchmark,
    questions: verdicts.length,
    unread: verdicts.filter(({ given }) => given === null).length,
    scores: all(verdicts),
    parts: Object.fromEntries(parts.map(([name, own]) => [name, part(own.map(({ verdict }) => verdict))])),
  };
}

function accuracyOf(verdicts: readonly Verdict[]): Scores {
  return { accuracy: share(verdicts, isRight) };
}

/** `a/b` counts in `a` as well; no name, in none. */
function partsOf({ part }: Verdict): string[] {
  const words = part === '' ? [] : part.split('/');
  return words.map((_, i) => words.slice(0, i + 1).join('/'));
}
