import { grouped, isRight, share, type Scores, type Verdict } from './verdict.js';

const perception = [
  'existence',
  'count',
  'position',
  'color',
  'posters',
  'celebrity',
  'scene',
  'landmark',
  'artwork',
  'OCR',
];
const cognition = ['commonsense_reasoning', 'numerical_calculation', 'text_translation', 'code_reasoning'];

/**
 * Of one subtask: the share of questions that are right, that of images whose questions all are, and their sum as a
 * score of 0 to 200.
 *
 * @see MME, arXiv:2306.13394, section 2.2.
 */
export function subtaskScores(verdicts: readonly Verdict[]): {
  readonly accuracy: number;
  readonly accuracyPlus: number;
  readonly score: number;
} {
  const accuracy = share(verdicts, isRight);
  const accuracyPlus = share([...grouped(verdicts, ({ item }) => item).values()], (pair) => pair.every(isRight));
  return { accuracy, accuracyPlus, score: 100 * (accuracy + accuracyPlus) };
}

/**
 * Sums of the subtasks' scores: perception of ten, at most 2000; cognition of four, at most 800; of those that are
 * there.
 */
export function mmeScores(verdicts: readonly Verdict[]): Scores {
  const subtasks = grouped(verdicts, ({ part }) => part);
  const sum = (names: readonly string[]): number =>
    names.map((name) => subtasks.get(name)).reduce((total, own) => total + (own ? subtaskScores(own).score : 0), 0);
  return { perception: sum(perception), cognition: sum(cognition) };
}
