import { messageOf, ModelError, NonFiniteError } from '../errors.js';
import type { Advantaged, Sample } from '../records.js';

/** Steps in a row that may come to nothing before the run does. */
const MOST = 3;

const OWN = 'not finite: ';
const SHARED = 'in a step that was left out: ';

/** Whether a row was marked because its step was left out. */
export function isLeftOut(reason: string): boolean {
  return reason.startsWith(OWN) || reason.startsWith(SHARED);
}

/**
 * Leaves out a step that meets a number that is not finite: its rows go on marked, nothing was learnt from them.
 *
 * The third such step in a row errors the stream, once its rows have gone on.
 *
 * @param work is told how many steps were left out since the one before.
 */
export function leavingOut<T extends Sample, R extends Sample>(stage: string, work: (rows: readonly T[], leftOut: number) => Promise<Iterable<R>>): (rows: readonly T[]) => Promise<Iterable<R>> {
  let inARow = 0;
  return async (rows) => {
    try {
      const done = await work(rows, inARow);
      inARow = 0;
      return done;
    } catch (error) {
      if (!(error instanceof NonFiniteError)) throw error;
      inARow++;
      const reasonOf = (id: string): string => (error.rows.has(id) ? `${OWN}${error.rows.get(id)}` : `${SHARED}${messageOf(error)}`);
      // Marked rows lack the columns of the stages that let them by, which the types leave unsaid.
      const marked = rows.map((row) => ({ ...row, skipped: { stage, reason: reasonOf(row.id) } }) as unknown as R);
      return inARow < MOST ? marked : thenThrow(marked, new ModelError(`${stage}  expected finite numbers; got ${MOST} steps in a row without: ${messageOf(error)}`, { cause: error }));
    }
  };
}

function* thenThrow<R>(rows: readonly R[], error: Error): Generator<R, void> {
  yield* rows;
  throw error;
}

/** @throws {NonFiniteError} naming the rows with an infinite reward (NaN is unscorable, and fine), or any other number that is not finite. */
export function finiteRows(rows: readonly Advantaged[]): void {
  const wrong = new Map(rows.flatMap((row) => {
    const what = unfit(row);
    return what === undefined ? [] : [[row.id, what] as const];
  }));
  const [first] = wrong;
  if (first) throw new NonFiniteError(`${first[1]} in ${first[0]}`, wrong);
}

function unfit({ rewards, completions, advantages }: Advantaged): string | undefined {
  const reward = rewards.total.find((value) => Math.abs(value) === Infinity);
  if (reward !== undefined) return `a reward of ${reward}`;
  const advantage = advantages.find((value) => !Number.isFinite(value));
  if (advantage !== undefined) return `an advantage of ${advantage}`;
  const logProb = completions.flatMap(({ logProbs }) => logProbs).find((value) => !Number.isFinite(value));
  return logProb === undefined ? undefined : `a log-prob of ${logProb}`;
}

/** @throws {NonFiniteError} if the loss, where it is told, is not finite. */
export function finiteLoss({ loss = 0 }: Readonly<Record<string, number>>): void {
  if (!Number.isFinite(loss)) throw new NonFiniteError(`a loss of ${loss}`);
}
