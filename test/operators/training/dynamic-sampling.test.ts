import fc from 'fast-check';
import { from, lastValueFrom, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { markFiltered, hasNoSignal, isFiltered, refilled } from '../../../src/operators/training/dynamic-sampling.js';
import type { Advantaged } from '../../../src/records.js';
import { advantaged, marked } from '../stub-policy.js';

const group = (id: string, spread: boolean): Advantaged => advantaged(id, [1, 1], spread ? [1, -1] : [0, 0]);

describe('chosen', () => {
  it.each([
    ['a group with spread', group('a', true), 0, { dynamicSampling: 0 }, false],
    ['a flat one where those are taken', group('a', false), 0, {}, false],
    ['a flat one', group('a', false), 0, { dynamicSampling: 0 }, true],
    ['one that is old enough', group('a', true), 3, { maxStaleness: 3 }, false],
    ['one that is older', group('a', true), 4, { maxStaleness: 3 }, true],
  ])('%s', (_, row, version, choice, out) =>
    expect(isFiltered(markFiltered(row, version, choice).skipped?.reason ?? '')).toBe(out),
  );
});

describe('refilled', () => {
  it('gathers `size` groups for each step whatever comes, and passes over no more than `refill` times as many', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('spread', 'flat', 'marked')),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 3 }),
        async (kinds, size, refill) => {
          let told = 0;
          const rows = kinds.map((kind, i) =>
            kind === 'marked' ? (marked(`${i}`) as Advantaged) : group(`${i}`, kind === 'spread'),
          );
          const all = await lastValueFrom(
            from(rows).pipe(
              refilled(size, refill, () => told++),
              toArray(),
            ),
          );
          expect(all.map(({ id }) => id)).toEqual(rows.map(({ id }) => id));
          let [gathered, passed, most] = [0, 0, 0];
          for (const [i, row] of all.entries()) {
            if (rows[i]?.skipped) expect(row).toBe(rows[i]);
            else if (row.skipped) most = Math.max(most, ++passed);
            // A flat group is kept only where the limit is reached.
            else if (hasNoSignal(row)) expect([passed, ++gathered]).toEqual([size * refill, gathered]);
            else gathered++;
            if (gathered === size) [gathered, passed] = [0, 0];
          }
          expect(most).toBeLessThanOrEqual(size * refill);
          expect(all.filter((row, i) => row !== rows[i])).toHaveLength(told);
        },
      ),
    ));
});
