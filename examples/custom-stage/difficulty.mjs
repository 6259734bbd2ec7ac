import { map } from 'rxjs';
import { column, stage } from 'segr1';
import { z } from 'zod';

/** Adds `difficulty` to each row; `difficulty.yaml` beside this file puts it behind `reward`. */
export const difficulty = stage({
  name: 'difficulty',
  options: z.strictObject({
    /** Reward of a perfect answer. */
    best: z.number().positive().default(2),
  }),
  needs: ['rewards'],
  adds: { difficulty: column.float('1 - mean reward of the answers / reward of a perfect one') },
  build: ({ best }) =>
    map((row) => {
      if (row.skipped) return row;
      const mean = row.rewards.total.reduce((sum, value) => sum + value, 0) / row.rewards.total.length;
      return { ...row, difficulty: 1 - mean / best };
    }),
});
