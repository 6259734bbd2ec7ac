import { concat, defer, EMPTY, map, type OperatorFunction } from 'rxjs';
import { z } from 'zod';

import { readChoice } from '../metrics/benchmarks/choice.js';
import { benchmarkResult, type BenchmarkResult } from '../metrics/benchmarks/result.js';
import type { Verdict } from '../metrics/benchmarks/verdict.js';
import { readYesNo } from '../metrics/benchmarks/yes-no.js';
import type { Answered, Question, RolledOut } from '../records.js';

export const AnswerOptions = z.strictObject({});

/** The result of a benchmark in a run. */
export interface BenchmarkReport extends BenchmarkResult {
  /** Rows that an earlier stage marked; no score counts them. */
  readonly marked: number;
}

/**
 * Adds `answer` and `correct` to rows with a question, by the first completion; marked rows and those without a
 * question pass by.
 *
 * @param done called after the last row, for each benchmark that had a question.
 */
export function answer<T extends RolledOut>(
  done: (report: BenchmarkReport) => void,
): OperatorFunction<T, T & Answered> {
  return (rows) =>
    defer(() => {
      const book = new Map<Question['benchmark'], { readonly verdicts: Verdict[]; marked: number }>();
      const answered = (row: T): T & Answered => {
        // Marked rows lack columns that the types promise.
        if (!row.question) return row as T & Answered;
        const { benchmark, part, item, turn, answer: expected } = row.question;
        const page = book.get(benchmark) ?? { verdicts: [], marked: 0 };
        book.set(benchmark, page);
        if (row.skipped) {
          page.marked++;
          return row as T & Answered;
        }
        const given = readAnswer(row.completions[0]?.text ?? '', row.question);
        page.verdicts.push({ part, item, turn, expected, given });
        return { ...row, answer: given, correct: given === expected ? 1 : 0 };
      };
      const told = defer(() => {
        for (const [benchmark, { verdicts, marked }] of book) done({ ...benchmarkResult(benchmark, verdicts), marked });
        return EMPTY;
      });
      return concat(rows.pipe(map(answered)), told);
    });
}

/**
 * The answer in a completion: the text after the last `</think>`, or in its `<answer>` if there is one.
 *
 * @returns `yes`, `no`, or the letter of an option; null where it can't be read, or the thought doesn't end.
 */
export function readAnswer(completion: string, { options }: Pick<Question, 'options'>): string | null {
  const thought = completion.lastIndexOf('</think>');
  if (thought < 0 && completion.includes('<think>')) return null;
  const rest = thought < 0 ? completion : completion.slice(thought + '</think>'.length);
  const said = /<answer>(.*?)(?:<\/answer>|$)/s.exec(rest)?.[1] ?? rest;
  return options.length > 0 ? readChoice(said, options) : readYesNo(said);
}
