import { map, type OperatorFunction } from 'rxjs';

import { messageOf, ModelError, NonFiniteError } from '../../errors.js';
import type { Advantaged, Sample, Scored } from '../../records.js';

/** Consecutive skipped steps that end the run. */
const MOST = 3;

const OWN = 'not finite: ';
const SHARED = 'in a step that was left out: ';

/** Whether a row was marked because its step was skipped. */
export function isSkippedStep(reason: string): boolean {
  return reason.startsWith(OWN) || reason.startsWith(SHARED);
}

/**
 * Skips a step with a non-finite number: its rows leave marked. The third skipped step in a row errors the stream,
 * after its rows have left.
 *
 * @param work gets the number of skipped steps since the one before.
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

/** A non-finite result of a reward function; a NaN total alone means unscorable, which is allowed. */
export function nonFinite({ rewards }: Pick<Scored, 'rewards'>): string | undefined {
  if (rewards.notFinite !== undefined) return rewards.notFinite;
  const reward = rewards.total.find((value) => Math.abs(value) === Infinity);
  return reward === undefined ? undefined : `a reward of ${reward}`;
}

/** Marks rows with a non-finite reward: for pipelines without a step to skip. */
export function markNonFinite<T extends Scored>(): OperatorFunction<T, T> {
  return map((row) => {
    const what = row.skipped ? undefined : nonFinite(row);
    return what === undefined ? row : { ...row, skipped: { stage: 'reward', reason: `${OWN}${what}` } };
  });
}

/** Works on rows after some steps were already `taken` on them: an error says so, since it undoes none of them. */
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

/** @throws {NonFiniteError} naming the rows with a non-finite reward, advantage or log-prob. */
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

/** @throws {NonFiniteError} if the loss is given and not finite. */
export function finiteLoss({ loss = 0 }: Readonly<Record<string, number>>): void {
  if (!Number.isFinite(loss)) throw new NonFiniteError(`a loss of ${loss}`);
}
