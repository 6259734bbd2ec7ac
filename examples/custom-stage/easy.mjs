import { map } from 'rxjs';
import { stage } from 'segr1';
import { z } from 'zod';

/**
 * Marks groups whose mean reward is over a limit; `train.yaml` beside this file puts it between `reward` and
 * `advantage`.
 */
export const easy = stage({
  name: 'easy',
  options: z.strictObject({
    /** Mean reward of a group over which it is left out. */
    over: z.number().default(1.6),
  }),
  needs: ['rewards'],
  // Left out on purpose: does not count against `tolerate`.
  filters: (reason) => reason === 'too easy',
  build: ({ over }) =>
    map((row) => {
      if (row.skipped) return row;
      const mean = row.rewards.total.reduce((sum, value) => sum + value, 0) / row.rewards.total.length;
      return mean > over ? { ...row, skipped: { stage: 'easy', reason: 'too easy' } } : row;
    }),
});
