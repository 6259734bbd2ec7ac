import { map, type OperatorFunction } from 'rxjs';

import { messageOf, ModelError, NonFiniteError } from '../../errors.js';
import type { Advantaged, Sample, Scored } from '../../records.js';

/** Steps in a row that may come to nothing before the run does. */
const MOST = 3;

const OWN = 'not finite: ';
const SHARED = 'in a step that was left out: ';

/** Whether a row was marked because its step was left out. */
export function isSkippedStep(reason: string): boolean {
  return reason.startsWith(OWN) || reason.startsWith(SHARED);
}

/**
 * Leaves out a step that meets a number that is not finite: its rows go on marked.
 *
 * The third such step in a row errors the stream, once its rows have gone on.
 *
 * @param work is told how many steps were left out since the one before.
 */
export function skippingSteps<T extends Sample, R extends Sample>(
  stage: string,
  work: (rows: readonly T[], leftOut: number) => Promise<Iterable<R>>,
): (rows: readonly T[]) => Promise<Iterable<R>> {
  let inARow = 0;
  return async (rows) => {
    try {
      const done = await work(rows, inARow);
      inARow = 0;
      return done;
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      inARow++;
      const reasonOf = (id: string): string =>
        error.rows.has(id) ? `${OWN}${error.rows.get(id)}` : `${SHARED}${messageOf(error)}`;
      // Marked rows lack columns that the types promise.
      const marked = rows.map((row) => ({ ...row, skipped: { stage, reason: reasonOf(row.id) } }) as unknown as R);
      return inARow < MOST
        ? marked
        : thenThrow(
            marked,
            new ModelError(
              `${stage}  expected finite numbers; got ${MOST} steps in a row without: ${messageOf(error)}`,
              { cause: error },
            ),
          );
    }
  };
}

function* thenThrow<R>(rows: readonly R[], error: Error): Generator<R, void> {
  yield* rows;
  throw error;
}

/** What a reward came to that no number can be made of; a total of NaN alone is unscorable, and fine. */
export function nonFinite({ rewards }: Pick<Scored, 'rewards'>): string | undefined {
  if (rewards.notFinite !== undefined) return rewards.notFinite;
  const reward = rewards.total.find((value) => Math.abs(value) === Infinity);
  return reward === undefined ? undefined : `a reward of ${reward}`;
}

/** Marks rows with a reward that is not finite: for pipelines without a step that could be left out for it. */
export function markNonFinite<T extends Scored>(): OperatorFunction<T, T> {
  return map((row) => {
    const what = row.skipped ? undefined : nonFinite(row);
    return what === undefined ? row : { ...row, skipped: { stage: 'reward', reason: `${OWN}${what}` } };
  });
}

/** Works on rows that steps were `taken` on already: a fault says so, for it undoes none of them. */
export async function furtherStep<R>(taken: number, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    if (taken === 0 || !(error instanceof NonFiniteError)) throw error;
    throw new NonFiniteError(
      `${messageOf(error)}, in update ${taken + 1} on these rows; ${taken} before it learnt from them`,
      error.rows,
    );
  }
}

/** @throws {NonFiniteError} naming the rows with a reward, advantage or log-prob that is not finite. */
export function finiteRows(rows: readonly Advantaged[]): void {
  const wrong = new Map(
    rows.flatMap((row) => {
      const what = unfit(row);
      return what === undefined ? [] : [[row.id, what] as const];
    }),
  );
  const [first] = wrong;
  if (first) throw new NonFiniteError(`${first[1]} in ${first[0]}`, wrong);
}

function unfit(row: Advantaged): string | undefined {
  const reward = nonFinite(row);
  if (reward !== undefined) return reward;
  const { completions, advantages } = row;
  const advantage = advantages.find((value) => !Number.isFinite(value));
  if (advantage !== undefined) return `an advantage of ${advantage}`;
  const logProb = completions.flatMap(({ logProbs }) => logProbs).find((value) => !Number.isFinite(value));
  return logProb === undefined ? undefined : `a log-prob of ${logProb}`;
}

/** @throws {NonFiniteError} if the loss, where it is told, is not finite. */
export function finiteLoss({ loss = 0 }: Readonly<Record<string, number>>): void {
  if (!Number.isFinite(loss)) throw new NonFiniteError(`a loss of ${loss}`);
}
