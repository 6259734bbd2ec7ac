import { from, lastValueFrom } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { credits, released } from '../../src/streams/credits.js';

const settled = async (promise: Promise<void>): Promise<boolean> => {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  return done;
};

describe('credits', () => {
  it('lets `window` rows in and the next one when a row leaves', async () => {
    const window = credits(2);
    await window.take();
    await window.take();
    const third = window.take();
    expect(await settled(third)).toBe(false);
    window.give('a');
    expect(await settled(third)).toBe(true);
    expect([window.inFlight, window.peak]).toEqual([2, 2]);
  });

  it('lets rows in by order of asking', async () => {
    const window = credits(1);
    await window.take();
    const order: string[] = [];
    const waiting = ['a', 'b', 'c'].map((name) => window.take().then(() => order.push(name)));
    for (const id of ['x', 'y', 'z']) {
      window.give(id);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(waiting);
    expect(order).toEqual(['a', 'b', 'c']);
  });

  it('remembers the most that were in flight', async () => {
    const window = credits(8);
    for (let i = 0; i < 5; i++) await window.take();
    for (let i = 0; i < 5; i++) window.give(`${i}`);
    await window.take();
    expect([window.window, window.inFlight, window.peak]).toEqual([8, 1, 5]);
  });

  it('gives up a place in the queue when its signal is aborted', async () => {
    const window = credits(1);
    await window.take();
    const stop = new AbortController();
    const left = window.take(stop.signal);
    const next = window.take();
    stop.abort(new Error('enough'));
    await expect(left).rejects.toThrow('enough');
    window.give('a');
    expect(await settled(next)).toBe(true);
    expect(window.inFlight).toBe(1);
    await expect(window.take(stop.signal)).rejects.toThrow('enough');
  });

  it('is not disturbed by an abort after the row came in', async () => {
    const window = credits(1);
    await window.take();
    const stop = new AbortController();
    const second = window.take(stop.signal);
    window.give('a');
    await second;
    stop.abort();
    expect(window.inFlight).toBe(1);
  });

  it('says which row was given back too often', () => {
    expect(() => credits(1).give('e0/3/cat')).toThrow('expected a row in flight; got e0/3/cat with none');
  });

  it.each([0, 1.5, Number.NaN])('refuses a window of %s', (window) => {
    expect(() => credits(window)).toThrow(`window: expected a whole number of rows from 1; got ${window}`);
  });
});

describe('released', () => {
  it('gives back the credit of each row that passes, the row unchanged', async () => {
    const given: string[] = [];
    const row = { id: 'a', more: 1 };
    const last = await lastValueFrom(
      from([{ id: 'b', more: 0 }, row]).pipe(released({ give: (id) => given.push(id) })),
    );
    expect(last).toBe(row);
    expect(given).toEqual(['b', 'a']);
  });
});
