import { join } from 'node:path';

import { from, lastValueFrom, tap, toArray } from 'rxjs';

import { UsageError } from '../../errors.js';
import { pictures } from '../../io/dataset.js';
import { namedMasks } from '../../io/segment-results.js';
import { inOrder } from '../../streams/in-order.js';
import { pairAnswers } from './protocol.js';
import type { Judged } from './score-item.js';
import { summarised, type ScoredItem } from './score-summary.js';
import type { Scores } from '../score.js';
import type { Scorer } from './scorer.js';

/** Pictures of two folders, by name without extension. */
export interface PicturePairs {
  readonly items: readonly { readonly id: string; readonly truth: string; readonly predicted: string | null }[];
  /** Ground truths without a prediction, and predictions without ground truth. */
  readonly missing: readonly string[];
  readonly extra: readonly string[];
}

/**
 * Pairs predictions and ground truths by name; both may be results of `segment`.
 *
 * @throws {UsageError} if a folder is missing or has no picture, or no ground truth has a prediction.
 * @throws {DataError} if two ground truths share a name.
 */
export function pairFolders(predictions: string, truth: string): PicturePairs {
  const truths = namedMasks(pictures('truth', truth));
  const given = namedMasks(pictures('predictions', predictions));
  const answers = new Map(given.map(([name, file]) => [name, join(predictions, file)]));
  const paired = pairAnswers(
    truths.map(([name]) => name),
    answers,
  );
  if (paired.missing.length === truths.length)
    throw new UsageError(
      `predictions  ${predictions}: expected pictures named as the ${truths.length} in ${truth}, such as ${truths[0]?.[0]}.png; got none, but ${given
        .slice(0, 3)
        .map(([, file]) => file)
        .join(', ')}`,
    );
  const items = paired.answers.map(({ id, answer }, i) => ({
    id,
    truth: join(truth, truths[i][1]),
    predicted: answer,
  }));
  return { items, missing: paired.missing, extra: paired.strangers };
}

/**
 * Scores mask pictures, each ground truth once; a missing prediction counts as an empty mask.
 *
 * @param set name of the set.
 * @param told called with each scored picture.
 * @throws {DataError} if a picture can't be read.
 */
export async function scoreFolders(
  scorer: Scorer,
  { items }: PicturePairs,
  kind: Judged['kind'],
  set: string,
  told: () => void = () => {},
): Promise<{ readonly scores: Scores; readonly items: readonly ScoredItem[] }> {
  const scored = inOrder(async ({ id, truth, predicted }: PicturePairs['items'][number]): Promise<ScoredItem> => {
    const judged = await scorer.score({
      kind,
      predicted: predicted === null ? null : { path: predicted },
      truth: { path: truth },
    });
    return {
      id,
      set,
      unit: id,
      judged,
      answer: { 'answer/missing': predicted === null ? 1 : 0, 'answer/empty': isEmpty(judged) ? 1 : 0 },
    };
  }, scorer.threads * 2);
  const all = await lastValueFrom(from(items).pipe(scored, tap(told), toArray()));
  return { scores: { protocol: 'standard', defects: [], unscored: 0, sets: summarised(all, 0) }, items: all };
}

function isEmpty(judged: Judged): boolean {
  const { hits, falseAlarms } = judged.kind === 'foreground' ? judged.foreground.half : judged.sample.whole;
  return hits + falseAlarms === 0;
}
