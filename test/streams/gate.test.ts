import { describe, expect, it } from 'vitest';

import { gate } from '../../src/streams/gate.js';

/** Whether a step may go on now, as far as all that has been said. */
async function settles(promise: Promise<void>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((turn) => setImmediate(turn));
  return done;
}

describe('gate', () => {
  it('waits for as many rows as the window holds, all of them there', async () => {
    const { emitted, arrived, left, settled } = gate(3);
    const [first, second] = [settled(), settled()];
    for (let i = 0; i < 3; i++) emitted();
    for (let i = 0; i < 2; i++) arrived();
    expect([await settles(first), await settles(second)]).toEqual([false, false]);
    arrived();
    expect([await settles(first), await settles(second), await settles(settled())]).toEqual([true, true, true]);
    // A step took two rows: their places are to be filled first.
    for (let i = 0; i < 2; i++) left();
    const third = settled();
    emitted();
    arrived();
    expect(await settles(third)).toBe(false);
    emitted();
    arrived();
    expect(await settles(third)).toBe(true);
  });

  it('waits for no more rows than there are', async () => {
    const { emitted, arrived, ended, settled } = gate(8);
    emitted();
    arrived();
    const waiting = settled();
    expect(await settles(waiting)).toBe(false);
    ended();
    expect(await settles(waiting)).toBe(true);
  });

  it('lets all go where the stream is over', async () => {
    const { emitted, open, settled } = gate(8);
    emitted();
    const waiting = settled();
    open();
    expect([await settles(waiting), await settles(settled())]).toEqual([true, true]);
  });
});
