import { existsSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { tableFromIPC } from 'apache-arrow';
import { describe, expect, it } from 'vitest';

import { steps } from '../../src/pipelines/steps.js';
import { folder } from './files.js';

const step = (number: number) => ({ kind: 'step' as const, step: number, metrics: { 'reward/mean': number / 10 } });

describe('steps', () => {
  it('goes on behind steps that stay, and gives up later ones', async () => {
    const { path } = folder();
    const first = await steps(path);
    for (const number of [1, 2, 3]) first.take(step(number), []);
    await first.flush();
    const second = await steps(path, 2);
    expect(second.count).toBe(2);
    second.take({ ...step(3), metrics: { 'reward/mean': 0.7 } }, []);
    await second.flush();
    expect(tableFromIPC(readFileSync(join(path, 'metrics.arrow'))).toArray().map((row) => (row as Record<string, unknown>)['reward/mean'])).toEqual([0.1, 0.2, 0.7]);
  });

  it('adds to the newest step what became known later', async () => {
    const { path } = folder();
    const log = await steps(path);
    await log.amend({ early: 1 });
    log.take(step(1), []);
    log.take(step(2), []);
    await log.amend({ eval_reward: 0.5 });
    await log.flush();
    log.take(step(3), []);
    const lines = readFileSync(join(path, 'metrics.jsonl'), 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as { metrics: object }).metrics);
    expect(lines).toEqual([{ 'reward/mean': 0.1 }, { 'reward/mean': 0.2, eval_reward: 0.5 }, { 'reward/mean': 0.3 }]);
    expect(tableFromIPC(readFileSync(join(path, 'metrics.arrow'))).toArray().map((row) => (row as Record<string, unknown>)['eval_reward'])).toEqual([null, 0.5]);
  });

  it('writes no table without a step', async () => {
    const { path } = folder();
    await (await steps(path)).flush();
    expect(existsSync(join(path, 'metrics.arrow'))).toBe(false);
  });

  it.skipIf(process.platform !== 'linux')('says where there is no room (a full device, which Linux alone has)', async () => {
    const { path } = folder();
    symlinkSync('/dev/full', join(path, 'metrics.jsonl'));
    const log = await steps(path);
    expect(() => log.take(step(1), [])).toThrow(`${join(path, 'metrics.jsonl')}  writing metrics: expected a folder with room for them; got ENOSPC`);
  });

  it('says where the folder was deleted', async () => {
    const { path } = folder();
    const log = await steps(path);
    rmSync(path, { recursive: true });
    expect(() => log.take(step(1), [])).toThrow('writing metrics: expected a folder with room for them; got ENOENT');
  });
});
