import { afterEach, describe, expect, it } from 'vitest';

import { workers, type Workers } from '../src/workers.js';

interface Job {
  readonly say?: string;
  readonly wait?: number;
  readonly fail?: string;
  readonly exit?: number;
}

/** Its threads do as they are told, and say which thread they are. */
const thread = new URL('./obedient-worker.js', import.meta.url);

interface Said {
  readonly say?: string;
  readonly threadId: number;
}

let pool: Workers<Job, Said>;
const open = (size: number, data?: unknown): Workers<Job, Said> => (pool = workers<Job, Said>(thread, size, data));
afterEach(() => pool.release());

describe('workers', () => {
  it('answers each call with its own answer, more calls than threads', async () => {
    open(2);
    const words = ['a', 'b', 'c', 'd', 'e'];
    const said = await Promise.all(words.map((say, i) => pool.call({ say, wait: 10 - 2 * i })));
    expect(said.map(({ say }) => say)).toEqual(words);
    expect(new Set(said.map(({ threadId }) => threadId)).size).toBe(2);
  });
  it('rejects with the message of what a job throws, and goes on', async () => {
    open(1);
    await expect(pool.call({ fail: 'no such prompt' })).rejects.toThrow('no such prompt');
    expect(await pool.call({ say: 'next' })).toMatchObject({ say: 'next' });
  });
  it('rejects a job that cannot be copied, and goes on', async () => {
    open(1);
    const [running, stuck, after] = [
      pool.call({ wait: 20 }),
      pool.call({ say: (() => '') as unknown as string }),
      pool.call({ say: 'after' }),
    ];
    await expect(stuck).rejects.toThrow('could not be cloned');
    expect(await running).toBeDefined();
    expect(await after).toMatchObject({ say: 'after' });
  });
  it('runs a job once on every thread', async () => {
    open(3);
    const threads = (await pool.everywhere({})).map(({ threadId }) => threadId);
    expect(new Set(threads).size).toBe(3);
  });
  it('gives every thread a job of its own', async () => {
    open(3);
    const said = await pool.each((worker) => ({ job: { say: `to ${worker}` }, transfer: [] }));
    expect(said.map(({ say }) => say)).toEqual(['to 0', 'to 1', 'to 2']);
  });
  it('waits for running jobs when released; queued and later ones reject', async () => {
    open(1);
    const [running, queued] = [pool.call({ say: 'running', wait: 40 }), pool.call({ say: 'queued' })];
    queued.catch(() => {});
    await Promise.all([pool.release(), pool.release()]);
    expect(await running).toMatchObject({ say: 'running' });
    await expect(queued).rejects.toThrow('released');
    await expect(pool.call({})).rejects.toThrow('released');
    await expect(pool.everywhere({})).rejects.toThrow('released');
  });
  it('rejects what ran, waited and comes later when a thread dies, and is released all the same', async () => {
    open(1);
    const calls = [pool.call({ exit: 3 }), pool.call({}), pool.everywhere({})];
    for (const call of calls) await expect(call).rejects.toThrow('got exit code 3');
    await expect(pool.call({})).rejects.toThrow('got exit code 3');
    await pool.release();
  });
  it('is released when a thread dies meanwhile', async () => {
    open(2);
    const calls = [pool.call({ exit: 4 }), pool.call({ say: 'alive', wait: 30 })];
    calls[0].catch(() => {});
    await pool.release();
    await expect(calls[0]).rejects.toThrow('exit code 4');
    expect(await calls[1]).toMatchObject({ say: 'alive' });
  });
  it('says why a thread could not start', async () => {
    open(1, 'broken');
    await expect(pool.call({})).rejects.toThrow('cannot load');
  });
});
