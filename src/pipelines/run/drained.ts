import type { Observable } from 'rxjs';

import type { Row } from '../../records.js';
import type { StageMetrics } from './stage-metrics.js';

/** Subscribes and waits for the end; a process with nothing left to do and no end reached is a stall. */
export function runToCompletion(rows: Observable<Row>, stall: () => Error): Promise<void> {
  return new Promise((resolve, reject) => {
    const idle = (): void => {
      subscription.unsubscribe();
      reject(stall());
    };
    process.once('beforeExit', idle);
    const over = (settle: () => void): void => {
      process.off('beforeExit', idle);
      settle();
    };
    const subscription = rows.subscribe({
      error: (error: unknown) => over(() => reject(error)),
      complete: () => over(resolve),
    });
  });
}

/** What to say of rows that nobody moves any more. */
export function stalled(gauges: readonly StageMetrics[], window: number): Error {
  const keeping = gauges
    .filter(({ rowsIn, rowsOut }) => rowsIn !== rowsOut)
    .map(({ stage, rowsIn, rowsOut }) => `${stage} took ${rowsIn} and gave ${rowsOut}`);
  const got = `nothing running, with a window of ${window}: ${keeping.join(', ') || 'the source gave no row'}`;
  return new Error(
    `rows: expected them to go on; got ${got}; way out: a stage gives every row that it took, marked where need be`,
  );
}
