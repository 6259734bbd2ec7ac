/** How long a started batch waits for more, in milliseconds; each arrival starts the wait anew. */
const PATIENCE = 25;

interface Waiting<A, B> {
  readonly asked: A;
  readonly resolve: (answer: B) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Answers single questions in batches: `work` gets up to `size` of them at once, fewer when no more come for a while.
 *
 * @param work gives one answer a question, in order; what it throws rejects every question of its batch.
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
