import { lastValueFrom, map, of, toArray, type OperatorFunction } from 'rxjs';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

import { column, stage, type Row, type Scored, type StageContext, type StageRow } from '../../src/index.js';

const options = z.strictObject({ best: z.number().default(2) });

describe("the row of a stage of one's own", () => {
  it('has the columns of stages before, and takes those that the stage adds', async () => {
    const difficulty = stage({
      name: 'difficulty',
      options,
      needs: ['rewards'],
      adds: { difficulty: column.float('1 - mean reward / reward of a perfect answer') },
      build: ({ best }) =>
        map((row) => {
          expectTypeOf(row).toEqualTypeOf<StageRow>();
          expectTypeOf(row.id).toEqualTypeOf<string>();
          expectTypeOf(row.rewards).toEqualTypeOf<Scored['rewards']>();
          expectTypeOf(row.skipped).toEqualTypeOf<Row['skipped']>();
          // @ts-expect-error no row has such a column
          expect(row.nothing).toBeUndefined();
          return row.skipped ? row : { ...row, difficulty: 1 - row.rewards.total[0] / best };
        }),
    });
    const row = { id: 'a', rewards: { total: [1], byName: {} } } as unknown as Row;
    const built = difficulty.build({ best: 4 }, {} as StageContext) as unknown as OperatorFunction<Row, Row>;
    expect(await lastValueFrom(of(row).pipe(built, toArray()))).toEqual([{ ...row, difficulty: 0.75 }]);
  });

  it('is the same in a short and in a waiting build, and may be narrower or wider by annotation', () => {
    const some = [
      stage({ name: 'short', options, build: () => map((row) => (row.rewards.total.at(0), row)) }),
      stage({ name: 'waiting', options, build: async () => map((row) => ({ ...row, truth: row.truth })) }),
      stage({ name: 'narrow', options, build: () => map((row: Scored) => (row.masks.at(0), row)) }),
      stage({ name: 'wide', options, build: () => map((row: StageRow & { note: string }) => (row.note.at(0), row)) }),
    ];
    expect(some.map(({ name }) => name)).toEqual(['short', 'waiting', 'narrow', 'wide']);
  });

  it('refuses a value of another type in a column of its own', () => {
    const adds = { difficulty: column.float('a number') };
    // @ts-expect-error a text where the stage declares a number
    stage({ name: 'wrong', options, adds, build: () => map((row) => ({ ...row, difficulty: 'hard' })) });
    expect(adds.difficulty.misfit('hard')).toBe('expected a number; got "hard"');
  });
});
