import { concat, from, lastValueFrom, of, tap, throwError, toArray } from 'rxjs';
import { describe, expect, it } from 'vitest';

import { checkpoint } from '../../src/operators/checkpoint.js';
import { later, stubPolicy } from './stub-policy.js';

const folder = (steps: number): string => `step-${steps}`;

describe('checkpoint', () => {
  it('passes rows on and saves once they have all come, before it completes', async () => {
    const events: string[] = [];
    const policy = stubPolicy({ save: async (dir) => (await later(5), void events.push(dir)) });
    const stepped = from(['a', 'b']).pipe(tap(() => void policy.version++));
    const done = lastValueFrom(stepped.pipe(checkpoint(policy, folder), tap((row) => events.push(row)), toArray()));
    expect(events).toEqual(['a', 'b']);
    expect(await done).toEqual(['a', 'b']);
    expect(events).toEqual(['a', 'b', 'step-2']);
  });

  it('saves nothing where no step was taken', async () => {
    const policy = stubPolicy();
    expect(await lastValueFrom(of('a').pipe(checkpoint(policy, folder), toArray()))).toEqual(['a']);
    expect(policy.asked.saved).toEqual([]);
  });

  it("saves nothing behind an error, and errors with a failing save's own", async () => {
    const policy = stubPolicy();
    policy.version = 1;
    const failing = concat(of('a'), throwError(() => new Error('source')));
    await expect(lastValueFrom(failing.pipe(checkpoint(policy, folder)))).rejects.toThrow('source');
    expect(policy.asked.saved).toEqual([]);
    const full = stubPolicy({ save: () => Promise.reject(new Error('disk full')) });
    full.version = 1;
    await expect(lastValueFrom(of('a').pipe(checkpoint(full, folder)))).rejects.toThrow('disk full');
  });

  it('saves nothing once unsubscribed', async () => {
    const policy = stubPolicy();
    policy.version = 1;
    concat(of('a'), from(later(5))).pipe(checkpoint<unknown>(policy, folder)).subscribe().unsubscribe();
    await later(15);
    expect(policy.asked.saved).toEqual([]);
  });
});
