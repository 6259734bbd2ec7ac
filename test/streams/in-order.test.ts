import { from, lastValueFrom, Subject, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { inOrder, takeInOrder } from '../../src/streams/in-order.js';
import { later } from '../waiting.js';

describe('inOrder', () => {
  it('keeps the order of its source and works on no more than `inflight` rows', async () => {
    let [running, most] = [0, 0];
    const work = async (row: number): Promise<number> => {
      most = Math.max(most, ++running);
      await later((row * 37) % 11);
      running--;
      return 10 * row;
    };
    const rows = Array.from({ length: 20 }, (_, i) => i);
    expect(await lastValueFrom(from(rows).pipe(inOrder(work, 3), toArray()))).toEqual(rows.map((row) => 10 * row));
    expect(most).toBe(3);
  });
  it('starts no row while `inflight` results wait for a slow one', async () => {
    const started: number[] = [];
    let go: () => void = () => {};
    const slow = new Promise<void>((resolve) => (go = resolve));
    const done = lastValueFrom(
      from([0, 1, 2, 3]).pipe(
        inOrder(async (row) => (started.push(row), row === 0 ? slow : later(0)), 2),
        toArray(),
      ),
    );
    await later(20);
    expect(started).toEqual([0, 1]);
    go();
    expect(await done).toHaveLength(4);
  });
  it('emits what came before a failure, then errors', async () => {
    const seen: number[] = [];
    const work = async (row: number): Promise<number> => {
      if (row === 1) throw new Error('row 1');
      await later(5);
      return row;
    };
    const failing = new Promise((_, reject) =>
      from([0, 1, 2])
        .pipe(inOrder(work, 3))
        .subscribe({ next: (row) => seen.push(row), error: reject }),
    );
    await expect(failing).rejects.toThrow('row 1');
    expect(seen).toEqual([0]);
  });
  it('takes no further row once unsubscribed', async () => {
    const started: number[] = [];
    const rows = new Subject<number>();
    const subscription = rows.pipe(inOrder(async (row) => void started.push(row), 1)).subscribe();
    rows.next(0);
    rows.next(1);
    subscription.unsubscribe();
    rows.next(2);
    await later(5);
    expect(started).toEqual([0]);
    expect(rows.observed).toBe(false);
  });
});

describe('takeInOrder', () => {
  it('takes in order, and has no more than so many under way or waiting', async () => {
    const waits = [20, 1, 1, 10, 1, 1, 1];
    const [taken, counts]: [number[], number[]] = [[], []];
    let held = 0;
    const work = async (i: number): Promise<number> => {
      counts.push(++held);
      await later(waits[i]);
      return i;
    };
    await takeInOrder([0, 1, 2, 3, 4, 5, 6], 3, work, (i) => (held--, taken.push(i)));
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
    await expect(takeInOrder([0, 1, 2, 3, 4], 2, work, () => {})).rejects.toThrow('no 1');
    expect(begun).toEqual([0, 1, 2]);
  });

  it('does nothing with nothing', async () => {
    await takeInOrder(
      [],
      2,
      () => Promise.reject(new Error('no work')),
      () => expect.unreachable(),
    );
  });
});
