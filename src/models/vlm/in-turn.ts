/**
 * Works on all, and takes what comes of it in order; no more than `most` are under way or wait for their turn.
 *
 * The first failure, in order, rejects; what is under way then goes on unheard.
 */
export async function inTurn<T, R>(
  all: readonly T[],
  most: number,
  work: (one: T) => Promise<R>,
  take: (result: R) => void,
): Promise<void> {
  const ahead = all.values();
  const begun: Promise<R>[] = [];
  const begin = (): void => {
    const { done, value } = ahead.next();
    if (done) return;
    const result = work(value);
    // A failure waits for its turn, too: until then it is nobody's.
    result.catch(() => {});
    begun.push(result);
  };
  for (let i = 0; i < most; i++) begin();
  for (let next = begun.shift(); next; next = begun.shift()) {
    take(await next);
    begin();
  }
}
