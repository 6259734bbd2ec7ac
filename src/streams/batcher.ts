/** How long a started batch waits for more, ms; each arrival restarts the wait. */
const PATIENCE = 25;

interface Waiting<A, B> {
  readonly asked: A;
  readonly resolve: (answer: B) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Batches single requests: `work` gets up to `size` of them at once, fewer when no more arrive for a while.
 *
 * @param work returns one result for each request, in order; if it throws, every request of the batch rejects.
 */
export function batcher<A, B>(
  size: number,
  work: (asked: readonly A[]) => Promise<readonly B[]>,
): (asked: A) => Promise<B> {
  let waiting: Waiting<A, B>[] = [];
  let timer: NodeJS.Timeout | undefined;

  const flush = (): void => {
    clearTimeout(timer);
    const batch = waiting;
    waiting = [];
    work(batch.map(({ asked }) => asked)).then(
      (answers) => {
        for (const [i, { resolve }] of batch.entries()) resolve(answers[i]);
      },
      (error: unknown) => {
        for (const { reject } of batch) reject(error);
      },
    );
  };

  return (asked) =>
    new Promise((resolve, reject) => {
      waiting.push({ asked, resolve, reject });
      clearTimeout(timer);
      if (waiting.length >= size) flush();
      else timer = setTimeout(flush, PATIENCE);
    });
}
