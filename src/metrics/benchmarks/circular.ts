import { grouped, isRight, share, type Scores, type Verdict } from './verdict.js';

/**
 * Share of questions that are right in the published order of their options (`vanilla`), and in every order that was
 * asked (`circular`); 0 to 1.
 *
 * Questions that were not asked in the published order count in neither, so circular is at most vanilla.
 *
 * @see MMBench, arXiv:2307.06281, section 4.1.
 */
export function circularScores(verdicts: readonly Verdict[]): Scores {
  const items = [...grouped(verdicts, ({ item }) => item).values()].filter((turns) => turns.some(isPublished));
  return {
    circular: share(items, (turns) => turns.every(isRight)),
    vanilla: share(items, (turns) => turns.filter(isPublished).every(isRight)),
  };
}

function isPublished({ turn }: Verdict): boolean {
  return turn === 0;
}
