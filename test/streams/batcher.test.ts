import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { batcher } from '../../src/streams/batcher.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Answers tenfold, and keeps what came together. */
function tenfold(size: number) {
  const batches: (readonly number[])[] = [];
  const ask = batcher<number, number>(size, async (asked) => {
    batches.push(asked);
    return asked.map((n) => 10 * n);
  });
  return { batches, ask };
}

describe('together', () => {
  it('works as soon as there are enough, each answer to its own question', async () => {
    const { batches, ask } = tenfold(2);
    expect(await Promise.all([1, 2, 3, 4].map(ask))).toEqual([10, 20, 30, 40]);
    expect(batches).toEqual([
      [1, 2],
      [3, 4],
    ]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('waits a while for more, anew with each, and then works with fewer', async () => {
    const { batches, ask } = tenfold(4);
    const first = ask(1);
    await vi.advanceTimersByTimeAsync(20);
    const second = ask(2);
    await vi.advanceTimersByTimeAsync(20);
    expect(batches).toEqual([]);
    await vi.advanceTimersByTimeAsync(5);
    expect(batches).toEqual([[1, 2]]);
    expect(await Promise.all([first, second])).toEqual([10, 20]);
  });

  it('starts the next batch while one is worked on', async () => {
    let go: () => void = () => {};
    const slow = new Promise<void>((resolve) => (go = resolve));
    const begun: (readonly number[])[] = [];
    const ask = batcher<number, number>(1, async (asked) => {
      begun.push(asked);
      if (asked[0] === 1) await slow;
      return asked;
    });
    const first = ask(1);
    expect(await ask(2)).toBe(2);
    expect(begun).toEqual([[1], [2]]);
    go();
    expect(await first).toBe(1);
  });

  it('rejects every question of a failing batch and no other', async () => {
    const ask = batcher<number, number>(2, async (asked) => {
      if (asked.includes(1)) throw new Error('no 1');
      return asked;
    });
    const answers = await Promise.allSettled([1, 2, 3, 4].map(ask));
    expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value : String(answer.reason)))).toEqual([
      'Error: no 1',
      'Error: no 1',
      3,
      4,
    ]);
  });
});
