import { isRight, share, type Scores, type Verdict } from './verdict.js';

/**
 * Accuracy, and precision, recall and F1 of `yes`, and how often `yes` was said; 0 to 1.
 *
 * An unread answer is wrong, and is no `yes`. Precision is NaN where `yes` was never said, recall where it was never
 * right to.
 *
 * @see POPE, arXiv:2305.10355, section 4.
 */
export function popeScores(verdicts: readonly Verdict[]): Scores {
  const said = verdicts.filter(({ given }) => given === 'yes');
  const due = verdicts.filter(({ expected }) => expected === 'yes');
  const hits = said.filter(isRight).length;
  return {
    accuracy: share(verdicts, isRight),
    precision: hits / said.length,
    recall: hits / due.length,
    f1: (2 * hits) / (said.length + due.length),
    yesRate: said.length / verdicts.length,
  };
}
