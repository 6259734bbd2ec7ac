import { setImmediate } from 'node:timers/promises';

import { lastValueFrom, take, takeUntil, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { pulled } from '../../src/streams/pulled.js';
import { credits, released } from '../../src/streams/credits.js';

/** Counts what was asked of it, and whether it was let go. */
function counted(length: number) {
  const seen = { made: 0, returned: 0 };
  async function* rows(): AsyncGenerator<{ id: string }> {
    try {
      while (seen.made < length) yield { id: `${seen.made++}` };
    } finally {
      seen.returned++;
    }
  }
  return { seen, rows };
}

describe('pulled', () => {
  it('gives all rows in order, and every credit back', async () => {
    const window = credits(2);
    const got = await lastValueFrom(pulled(counted(5).rows, window).pipe(released(window), toArray()));
    expect(got.map(({ id }) => id)).toEqual(['0', '1', '2', '3', '4']);
    expect([window.inFlight, window.peak]).toEqual([0, 1]);
  });

  it('makes no row before there is room for it', async () => {
    const { seen, rows } = counted(1000);
    const subscription = pulled(rows, credits(4)).subscribe();
    await setImmediate();
    expect(seen.made).toBe(4);
    subscription.unsubscribe();
    await setImmediate();
    expect(seen).toEqual({ made: 4, returned: 1 });
  });

  it('lets its iterator go when enough was taken', async () => {
    const { seen, rows } = counted(1000);
    const window = credits(4);
    await lastValueFrom(pulled(rows, window).pipe(released(window), take(3)));
    await setImmediate();
    expect(seen).toEqual({ made: 3, returned: 1 });
  });

  it('completes while it waits for room when told to end', async () => {
    const { seen, rows } = counted(1000);
    const got = await lastValueFrom(pulled(rows, credits(4)).pipe(takeUntil(setImmediate()), toArray()));
    expect(got).toHaveLength(4);
    await setImmediate();
    expect(seen.returned).toBe(1);
  });

  it('hands on what its iterator throws, with the credit given back', async () => {
    const window = credits(4);
    async function* failing(): AsyncGenerator<{ id: string }> {
      yield { id: 'a' };
      throw new RangeError('no more');
    }
    await expect(lastValueFrom(pulled(failing, window))).rejects.toThrow('no more');
    expect(window.inFlight).toBe(1);
  });

  it('opens a new iterator for each subscriber', async () => {
    const window = credits(8);
    const rows = pulled(async function* () {
      yield { id: 'a' };
    }, window).pipe(released(window));
    expect([await lastValueFrom(rows), await lastValueFrom(rows)]).toEqual([{ id: 'a' }, { id: 'a' }]);
  });
});
