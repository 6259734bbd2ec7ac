import { describe, expect, it } from 'vitest';

import { inTurn } from '../../../src/models/vlm/in-turn.js';
import { later } from '../../operators/stub-policy.js';

describe('inTurn', () => {
  it('takes in order, and has no more than so many under way or waiting', async () => {
    const waits = [20, 1, 1, 10, 1, 1, 1];
    const [taken, counts]: [number[], number[]] = [[], []];
    let held = 0;
    const work = async (i: number): Promise<number> => {
      counts.push(++held);
      await later(waits[i]);
      return i;
    };
    await inTurn([0, 1, 2, 3, 4, 5, 6], 3, work, (i) => (held--, taken.push(i)));
    expect(taken).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(Math.max(...counts)).toBe(3);
  });

  it('rejects with the first failure in order, and begins nothing after it', async () => {
    const begun: number[] = [];
    const work = async (i: number): Promise<number> => {
      begun.push(i);
      await later(i === 1 ? 10 : 1);
      if (i >= 1) throw new Error(`no ${i}`);
      return i;
    };
    await expect(inTurn([0, 1, 2, 3, 4], 2, work, () => {})).rejects.toThrow('no 1');
    expect(begun).toEqual([0, 1, 2]);
  });

  it('does nothing with nothing', async () => {
    await inTurn(
      [],
      2,
      () => Promise.reject(new Error('no work')),
      () => expect.unreachable(),
    );
  });
});
